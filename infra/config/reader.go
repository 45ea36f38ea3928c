package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// reader takes values out of a configuration by key. It collects every problem,
// and knows in the end which keys nobody asked for.
type reader struct {
	project  string
	root     string
	values   map[string]any // by key without namespace; one level of objects is taken apart: app.memory
	secret   map[string]bool
	asked    map[string]bool
	problems []error
}

// groups are the keys that hold an object of further keys.
var groups = []string{"app", "proxy", "monitoring", "logging", "images"}

func newReader(source Source) *reader {
	r := &reader{
		project: source.Project,
		root:    source.Root,
		values:  map[string]any{},
		secret:  map[string]bool{},
		asked:   map[string]bool{},
	}
	for _, key := range source.Secret {
		if name, ok := strings.CutPrefix(key, source.Project+":"); ok {
			r.secret[name] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(source.Values)) {
		name, ok := strings.CutPrefix(key, source.Project+":")
		if !ok {
			continue // another namespace: a provider's
		}
		value := parse(source.Values[key])
		members, isObject := value.(map[string]any)
		group, _, isMember := strings.Cut(name, ".")
		switch {
		case isMember && slices.Contains(groups, group):
			r.refuse(name, value, fmt.Sprintf("only within %s (pulumi config rm %s; pulumi config set --path %s <value>)", group, name, name))
		case !slices.Contains(groups, name):
			r.values[name] = value
		case !isObject:
			r.refuse(name, value, "an object of further keys (pulumi config set --path "+name+".<key> <value>)")
		default:
			for member, value := range members {
				r.values[name+"."+member] = value
			}
		}
	}
	return r
}

// parse turns the engine's text into a value: JSON where it is an object or a
// list, else the text itself.
func parse(text string) any {
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		var value any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&value) == nil {
			return value
		}
	}
	return text
}

// take returns the value of a key, and whether it is set.
func (r *reader) take(key string) (any, bool) {
	r.asked[key] = true
	value, ok := r.values[key]
	return value, ok && value != nil
}

func (r *reader) integer(key string, missing, least, most int, unit string) int {
	value, ok := r.take(key)
	if !ok {
		return missing
	}
	number, err := strconv.Atoi(scalar(value))
	if err != nil || number < least || number > most {
		r.refuse(key, value, fmt.Sprintf("a whole number%s from %d to %d", unit, least, most))
		return missing
	}
	return number
}

func (r *reader) port(key string, missing int) int {
	return r.integer(key, missing, 1, 65535, "")
}

func (r *reader) number(key string, missing, least, most float64) float64 {
	value, ok := r.take(key)
	if !ok {
		return missing
	}
	number, err := strconv.ParseFloat(scalar(value), 64)
	if err != nil || math.IsNaN(number) || number < least || number > most {
		r.refuse(key, value, fmt.Sprintf("a number from %g to %g", least, most))
		return missing
	}
	return number
}

// text accepts any value where valid is nil.
func (r *reader) text(key, missing, allowed string, valid func(string) bool) string {
	value, ok := r.take(key)
	if !ok {
		return missing
	}
	text, ok := value.(string)
	if !ok || text == "" || valid != nil && !valid(text) {
		r.refuse(key, value, allowed)
		return missing
	}
	return text
}

func (r *reader) boolean(key string, missing bool) bool {
	value, ok := r.take(key)
	if !ok {
		return missing
	}
	switch scalar(value) {
	case "true":
		return true
	case "false":
		return false
	}
	r.refuse(key, value, "true or false")
	return missing
}

func (r *reader) list(key string, missing []string, allowed string, valid func(string) bool) []string {
	value, ok := r.take(key)
	if !ok {
		return missing
	}
	items, ok := value.([]any)
	var texts []string
	for _, item := range items {
		text, isText := item.(string)
		ok = ok && isText && valid(text)
		texts = append(texts, text)
	}
	if !ok || len(missing) > 0 && len(texts) == 0 {
		r.refuse(key, value, allowed)
		return missing
	}
	return texts
}

// object accepts numbers and booleans as texts: YAML reads 1 and true as such.
func (r *reader) object(key, allowed string, validName func(string) bool) map[string]string {
	value, ok := r.take(key)
	if !ok {
		return nil
	}
	members, ok := value.(map[string]any)
	texts := map[string]string{}
	for name, member := range members {
		switch member.(type) {
		case string, json.Number, bool:
		default:
			ok = false
		}
		ok = ok && validName(name)
		texts[name] = scalar(member)
	}
	if !ok {
		r.refuse(key, value, allowed)
		return nil
	}
	return texts
}

// moved refuses a key whose place another one has taken.
func (r *reader) moved(old, new string) {
	if value, ok := r.values[old]; ok {
		r.refuse(old, value, fmt.Sprintf("only %s, which takes its place (pulumi config rm --path %s; pulumi config set --path %s <value>)", new, old, new))
		delete(r.values, old)
	}
}

func (r *reader) isSecret(key string) bool { return r.secret[key] }

// refuse notes a value that is not allowed, and does not show it if it is secret.
func (r *reader) refuse(key string, value any, allowed string) {
	group, _, _ := strings.Cut(key, ".")
	shown := "[secret]"
	if !r.secret[group] {
		text, err := json.Marshal(value)
		if err != nil {
			text = fmt.Append(nil, value)
		}
		shown = string(text)
	}
	r.problems = append(r.problems, fmt.Errorf("%s:%s is %s: allowed is %s", r.project, key, shown, allowed))
}

// err joins all problems, the keys that do not exist among them.
func (r *reader) err() error {
	for _, key := range slices.Sorted(maps.Keys(r.values)) {
		if !r.asked[key] {
			r.problems = append(r.problems, fmt.Errorf("%s:%s is unknown: allowed are %s",
				r.project, key, strings.Join(slices.Sorted(maps.Keys(r.asked)), ", ")))
		}
	}
	if len(r.problems) == 0 {
		return nil
	}
	return fmt.Errorf("the configuration is refused, nothing has changed:\n%w", errors.Join(r.problems...))
}

func scalar(value any) string { return fmt.Sprint(value) }
