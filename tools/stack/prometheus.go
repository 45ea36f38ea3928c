package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// watchdog is the alert that always fires.
const watchdog = "Watchdog"

// ask reads the data of an answer of Prometheus' API.
func ask(ctx context.Context, url string, data any) error {
	return get(ctx, url, &struct{ Data any }{data})
}

// get reads an answer in JSON.
func get(ctx context.Context, url string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
