package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
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
		idle = p.idleMonitoring(b)
		p.set(b, "replicas", "4")
		measure("2 to 4 replicas", up)
		p.edit(b, "app/main.go", "package main", fmt.Sprintf("package main\n\n// built at %s", time.Now()))
		measure("new version of 4 replicas", up)
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

// idleMonitoring says what monitoring itself uses while nobody uses the service, as
// it sees it: over the second minute of its life.
func (p *project) idleMonitoring(tb testing.TB) string {
	tb.Helper()
	time.Sleep(2 * time.Minute)
	sum := func(expression string) float64 {
		found, err := p.query("sum(" + expression + ")")
		if err != nil || len(found) != 1 {
			tb.Fatalf("%s: %d series, %v", expression, len(found), err)
		}
		value, err := strconv.ParseFloat(found[0].Value[1].(string), 64)
		if err != nil {
			tb.Fatal(err)
		}
		return value
	}
	const own = `{component!~"replica|proxy"}`
	cpu := 100 * sum("rate(container_cpu_usage_seconds_total"+own+"[1m])")
	if cpu > 5 {
		tb.Errorf("monitoring uses %.1f %% of one core, more than 5 %%", cpu)
	}
	return fmt.Sprintf("monitoring, idle: %.1f %% of one core, %.0f MB of at most %.0f MB", cpu,
		sum("container_memory_working_set_bytes"+own)/(1<<20), sum("container_spec_memory_limit_bytes"+own)/(1<<20))
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
