// Package shim reaches the upstream Docker provider, which is internal to its
// module: a nested module whose path begins with upstream's may import it.
package shim

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/terraform-providers/terraform-provider-docker/internal/provider"
)

// New returns the upstream provider.
func New(version string) *schema.Provider { return provider.New(version)() }
