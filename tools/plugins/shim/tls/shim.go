// Package shim reaches the upstream TLS provider, which is internal to its
// module: a nested module whose path begins with upstream's may import it.
package shim

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"
	upstream "github.com/hashicorp/terraform-provider-tls/internal/provider"
)

// New returns the upstream provider.
func New() provider.Provider { return upstream.New() }
