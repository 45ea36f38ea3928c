// Command cadvisor is the stand-in for the upstream command, which is not published
// as a module: its library, behind those of its flags that the stack uses. It serves
// /metrics and /healthz. The library brings the other flags, such as docker_only.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/google/cadvisor/container/docker/install"
	"github.com/google/cadvisor/lib/cache/memory"
	"github.com/google/cadvisor/lib/container"
	"github.com/google/cadvisor/lib/manager"
	"github.com/google/cadvisor/lib/metrics"
	"github.com/google/cadvisor/lib/model"
	"github.com/google/cadvisor/lib/utils/sysfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// Upstream's defaults: what is costly or rarely asked for, and how long figures are kept.
	disabledByDefault = "advtcp,cpu_topology,cpuset,hugetlb,memory_numa,process,referenced_memory,resctrl,sched,tcp,udp"
	keep              = 2 * time.Minute
)

func main() {
	klog.InitFlags(nil)
	listenIP := flag.String("listen_ip", "", "IP address to listen on, all by default")
	port := flag.Int("port", 8080, "TCP port to listen on")
	allLabels := flag.Bool("store_container_labels", true, "give the metrics all labels and environment variables of their container")
	someLabels := flag.String("whitelisted_container_labels", "", "labels of containers that the metrics get if not all, with commas between")
	var enabled, disabled container.MetricSet
	if err := disabled.Set(disabledByDefault); err != nil {
		klog.Exit(err)
	}
	flag.Var(&enabled, "enable_metrics", "kinds of metrics to serve, with commas between; goes before disable_metrics")
	flag.Var(&disabled, "disable_metrics", "kinds of metrics not to serve, with commas between")
	flag.Parse()

	if len(enabled) == 0 {
		enabled = container.AllMetrics.Difference(disabled)
	}
	labels := metrics.DefaultContainerLabels
	if !*allLabels {
		labels = metrics.BaseContainerLabels(strings.Split(*someLabels, ","))
	}
	if err := run(net.JoinHostPort(*listenIP, strconv.Itoa(*port)), enabled, labels); err != nil {
		fmt.Fprintln(os.Stderr, "cadvisor:", err)
		os.Exit(1)
	}
}

func run(address string, kinds container.MetricSet, labels metrics.ContainerLabelsFunc) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	none := []string{""} // the library reads the first of a list that may not be empty
	m, err := manager.New(memory.New(keep, nil), sysfs.NewRealSysFs(), manager.HousekeepingConfigFlags, kinds, none, none, "", 0)
	if err != nil {
		return err
	}
	if err := m.Start(); err != nil {
		return err
	}

	registry := prometheus.NewRegistry()
	registry.MustRegister(
		metrics.NewPrometheusCollector(m, labels, kinds, clock.RealClock{}, model.RequestOptions{IdType: model.TypeName, Count: 1, Recursive: true}),
		metrics.NewPrometheusMachineCollector(m, kinds),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	// What can be served is, even if the figures of one container cannot be read.
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })

	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return err
	}
	return m.Stop()
}
