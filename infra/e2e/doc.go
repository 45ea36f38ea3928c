// Package e2e tests the whole on a real Docker Engine, with the real Pulumi CLI:
// a copy of the project with a stack, ports and a state of its own, under load.
// make test sets what it needs; without an engine or pulumi it fails and says so.
package e2e
