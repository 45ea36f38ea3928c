package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"helloworld/infra/workload"

	"github.com/moby/moby/api/types/container"
)

// status prints the stack's containers and how they fare, without one-shots.
func status(ctx context.Context, s stack) error {
	v, err := look(ctx, s)
	if err != nil {
		return err
	}
	containers, err := v.containers(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(containers, func(a, b container.Summary) int { return cmp.Compare(a.Names[0], b.Names[0]) })
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tCONTAINER\tSTATUS\tIMAGE")
	for _, c := range containers {
		if _, oneShot := c.Labels[workload.AttemptLabel]; oneShot {
			continue // it has done its work
		}
		note := ""
		if v.stray(containerType, c.ID) {
			note = " (in no state: make up sweeps it)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s%s\t%s\n", c.Labels[workload.ComponentLabel], strings.TrimPrefix(c.Names[0], "/"), c.Status, note, c.Image)
	}
	if len(v.known[containerType]) == 0 {
		fmt.Fprintln(table, "nothing runs: make up")
	}
	return table.Flush()
}
