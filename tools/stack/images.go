package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"helloworld/infra/config"

	"go.yaml.in/yaml/v3"
)

// images prints a line for each image that the stack takes from upstream: its name
// in the configuration and its reference. Those that the configuration names are
// left to the provider.
func images(_ context.Context, s stack) error {
	list, err := imageList(s)
	fmt.Print(list)
	return err
}

func imageList(s stack) (string, error) {
	text, err := os.ReadFile("Pulumi." + s.name + ".yaml")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	named, err := namedImages(s.project, text)
	if err != nil {
		return "", fmt.Errorf("read Pulumi.%s.yaml: %w", s.name, err)
	}
	var list strings.Builder
	references := config.UpstreamImages.References()
	for _, component := range slices.Sorted(maps.Keys(references)) {
		if !named[component] {
			fmt.Fprintln(&list, component, *references[component])
		}
	}
	return list.String(), nil
}

// namedImages tells which images a stack's configuration file settles. What it
// says of them is for the program to judge.
func namedImages(project string, text []byte) (map[string]bool, error) {
	var file struct{ Config map[string]any }
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	named := map[string]bool{}
	images, _ := file.Config[project+":images"].(map[string]any)
	for component := range images {
		named[component] = true
	}
	app, _ := file.Config[project+":app"].(map[string]any)
	if app["image"] != nil {
		named["builder"] = true // nothing is built
	}
	off := func(group string) bool {
		settings, _ := file.Config[project+":"+group].(map[string]any)
		return fmt.Sprint(settings["enabled"]) == "false"
	}
	for component := range config.UpstreamImages.References() {
		unused := off("monitoring")
		switch component {
		case "nginx", "builder":
			unused = false
		case "collector", "victoriaLogs":
			unused = off("logging")
		case "vmalert":
			unused = unused || off("logging")
		}
		if unused {
			named[component] = true
		}
	}
	return named, nil
}
