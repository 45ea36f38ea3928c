// Package victoria is only what go vet needs to find one. The module pins, as tools
// in its go.mod, the commands victoria-logs and vmalert, which tools/images/ensure
// builds as they are.
package victoria
