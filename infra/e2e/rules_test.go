package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"helloworld/infra/config"
)

// TestRulesAndConfigurations gives what is rendered for monitoring and logging to its
// real consumers' own checks, and the rules to promtool's tests of them.
func TestRulesAndConfigurations(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct {
		name, image string
		mounts      map[string]string // path in the container by path in infra/monitoring
		command     string
	}{
		{"PromtoolTestRules", "prometheus", map[string]string{"rules.yml": "rules.yml", "rules_test.yml": "rules_test.yml", "rules_slow_test.yml": "rules_slow_test.yml"}, "promtool test rules rules_test.yml rules_slow_test.yml"},
		{"PromtoolCheckRules", "prometheus", map[string]string{"rules.yml": "rules.yml"}, "promtool check rules --lint=all --lint-fatal rules.yml"},
		{"PromtoolCheckConfig", "prometheus", map[string]string{"testdata/prometheus.yml": "prometheus.yml", "rules.yml": "rules.yml"}, "promtool check config prometheus.yml"},
		{"PromtoolCheckConfigWithEverything", "prometheus", map[string]string{"testdata/everything.prometheus.yml": "prometheus.yml", "rules.yml": "rules.yml"}, "promtool check config prometheus.yml"},
		{"AmtoolCheckConfigOfNobody", "alertmanager", map[string]string{"testdata/nobody.alertmanager.yml": "alertmanager.yml"}, "amtool check-config alertmanager.yml"},
		{"AmtoolCheckConfigOfEverybody", "alertmanager", map[string]string{"testdata/everybody.alertmanager.yml": "alertmanager.yml"}, "amtool check-config alertmanager.yml"},
		{"VMAlertDryRun", "vmalert", map[string]string{"../logging/rules.yml": "rules.yml"}, "/vmalert-prod -dryRun -rule=rules.yml"},
		{
			"TheWatchdogIsToldNobody", "alertmanager", map[string]string{"testdata/everybody.alertmanager.yml": "alertmanager.yml"},
			"set -e; route='amtool config routes test --config.file=alertmanager.yml'; " +
				"$route --verify.receivers=nobody alertname=Watchdog; $route --verify.receivers=everybody alertname=ServiceDown",
		},
	} {
		t.Run(check.name, func(t *testing.T) {
			args := []string{"run", "--rm", "--network", "none", "--workdir", "/check", "--entrypoint", "sh"}
			for from, to := range check.mounts {
				args = append(args, "--volume", filepath.Join(root, "infra/monitoring", from)+":/check/"+to+":ro")
			}
			args = append(args, reference(t, root, check.image), "-c", check.command)
			if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", check.command, err, out)
			}
		})
	}
}

// reference is that of an image which the project in dir does not build itself.
func reference(t *testing.T, dir, name string) string {
	t.Helper()
	standIn, err := os.ReadFile(filepath.Join(dir, config.StandInImages, name))
	if err != nil {
		images := config.UpstreamImages
		return *images.References()[name]
	}
	return strings.TrimSpace(string(standIn))
}
