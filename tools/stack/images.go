package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"helloworld/infra/config"
)

// images prints a line for each image that the stack takes from a registry: its
// name in the configuration and its reference.
func images(context.Context, stack) error {
	references := config.UpstreamImages.References()
	for _, component := range slices.Sorted(maps.Keys(references)) {
		fmt.Println(component, *references[component])
	}
	return nil
}
