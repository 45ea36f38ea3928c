package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"testing"
)

// BenchmarkStack times what a user waits for, with images present and without
// preview, and sets it against docker run of the same image in the same run.
func BenchmarkStack(b *testing.B) {
	p := newProject(b, "bench")
	if out, err := p.run("make", "up"); err != nil { // fills the caches
		b.Fatalf("make up: %v\n%s", err, out)
	}
	p.set(b, "replicas", "2")
	p.up(b)
	p.destroy(b)

	type row struct {
		name string
		time time.Duration
	}
	var rows []row
	var reference time.Duration
	var idle string
	for b.Loop() {
		measure := func(name string, run func()) {
			start := time.Now()
			run()
			rows = append(rows, row{name, time.Since(start)})
		}
		up := func() { p.up(b) }
		measure("first up, 2 replicas", up)
		reference = dockerRun(b, p.resources(b)["images"][0])
		measure("up without a change", func() { p.up(b, "--expect-no-changes") })
		command := func(target string) func() {
			return func() {
				if out, err := p.run("make", target); err != nil {
					b.Fatalf("make %s: %v\n%s", target, err, out)
				}
			}
		}
		measure("make up without a change", command("up"))
		idle = p.idle(b)
		p.set(b, "replicas", "4")
		measure("2 to 4 replicas", up)
		p.edit(b, "app/main.go", "package main", fmt.Sprintf("package main\n\n// built at %s", time.Now()))
		measure("new version of 4 replicas", up)
		measure("make rollback of 4 replicas", command("rollback"))
		up()
		p.set(b, "replicas", "2")
		measure("4 to 2 replicas", up)
		measure("destroy", func() { p.destroy(b) })
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\nstep\tseconds\tmultiple of docker run\t\n")
	fmt.Fprintf(table, "docker run --rm\t%.2f\t1.0\t\n", reference.Seconds())
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%.1f\t%.1f\t\n", row.name, row.time.Seconds(), row.time.Seconds()/reference.Seconds())
	}
	table.Flush()
	fmt.Println(idle)
}

// BenchmarkLogging sets the service's throughput with logging against that without, in
// the same run, and says what logging uses at 2,000 requests a second.
func BenchmarkLogging(b *testing.B) {
	p := newProject(b, "bench-logging")
	if out, err := p.run("make", "up"); err != nil {
		b.Fatalf("make up: %v\n%s", err, out)
	}
	var report strings.Builder
	for b.Loop() {
		for round := range 2 {
			for _, enabled := range []string{"false", "true"} {
				p.set(b, "logging.enabled", enabled)
				p.up(b)
				const requests = 30_000
				start := time.Now()
				p.sendExactly(b, fmt.Sprintf("full-%s-%d", enabled, round), requests, 0)
				fmt.Fprintf(&report, "as fast as it goes, logging.enabled=%s: %.0f requests/s\n", enabled, requests/time.Since(start).Seconds())
			}
		}
		const perSecond, seconds = 2_000, 75
		start := time.Now()
		p.sendExactly(b, "paced", perSecond*seconds, perSecond)
		sent := time.Since(start)
		fmt.Fprintf(&report, "paced: %.0f requests/s for %.0f s\n", perSecond*seconds/sent.Seconds(), sent.Seconds())
		for _, component := range []string{"replica", "proxy", "collector", "victorialogs", "vmalert"} {
			of := fmt.Sprintf(`{component=%q}`, component)
			fmt.Fprintf(&report, "  %-12s %5.1f %% of one core, %3.0f MB\n", component,
				100*p.sum(b, "rate(container_cpu_usage_seconds_total"+of+"[1m])"), p.sum(b, "container_memory_working_set_bytes"+of)/(1<<20))
		}
		eventually(b, time.Minute, "every line is there", func() bool {
			got := p.counts(b, "paced-")
			return got["proxy"].lines == perSecond*seconds && got["replica"].lines == perSecond*seconds
		})
		fmt.Fprintf(&report, "  every line is in VictoriaLogs %.1f s after the last request; ", (time.Since(start) - sent).Seconds())
		fmt.Fprintf(&report, "a line takes %.0f bytes of disk\n", p.sum(b, "vl_data_size_bytes")/p.sum(b, "vl_storage_rows"))
	}
	fmt.Printf("\n%s\n", &report)
}

// sum asks Prometheus for the sum of an expression.
func (p *project) sum(tb testing.TB, expression string) float64 {
	tb.Helper()
	found, err := p.query("sum(" + expression + ")")
	if err != nil || len(found) != 1 {
		tb.Fatalf("%s: %d series, %v", expression, len(found), err)
	}
	return must(strconv.ParseFloat(found[0].Value[1].(string), 64))
}

// idle says what monitoring and logging themselves use while nobody uses the
// service, as monitoring sees it: over the second minute of its life.
func (p *project) idle(tb testing.TB) string {
	tb.Helper()
	time.Sleep(2 * time.Minute)
	const own = `{component!~"replica|proxy"}`
	cpu := 100 * p.sum(tb, "rate(container_cpu_usage_seconds_total"+own+"[1m])")
	if cpu > 5 {
		tb.Errorf("monitoring and logging use %.1f %% of one core, more than 5 %%", cpu)
	}
	return fmt.Sprintf("monitoring and logging, idle: %.1f %% of one core, %.0f MB of at most %.0f MB", cpu,
		p.sum(tb, "container_memory_working_set_bytes"+own)/(1<<20), p.sum(tb, "container_spec_memory_limit_bytes"+own)/(1<<20))
}

func (p *project) destroy(tb testing.TB) {
	tb.Helper()
	if out, err := p.pulumi("destroy", "--yes", "--skip-preview"); err != nil {
		tb.Fatalf("pulumi destroy: %v\n%s", err, out)
	}
}

// dockerRun returns the median time of a container of the service that ends at
// once: it refuses its argument.
func dockerRun(tb testing.TB, image string) time.Duration {
	tb.Helper()
	var times []time.Duration
	for range 5 {
		start := time.Now()
		err := exec.Command("docker", "run", "--rm", image, "end").Run()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
			tb.Fatalf("docker run: %v", err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[len(times)/2]
}
