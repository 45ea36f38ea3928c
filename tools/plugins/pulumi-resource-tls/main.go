// Command pulumi-resource-tls is the TLS resource plugin: the upstream provider
// behind Pulumi's bridge, with the tokens and field names of the official plugin.
package main

import (
	"context"

	"github.com/hashicorp/terraform-provider-tls/shim"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge/tokens"
)

// version is set by the linker to the version of the SDK the program uses.
var version = "0.0.0-dev"

func main() {
	pfbridge.Main(context.Background(), "tls", provider(), pfbridge.ProviderMetadata{PackageSchema: []byte("{}")})
}

func provider() tfbridge.ProviderInfo {
	info := tfbridge.ProviderInfo{
		P:                              pfbridge.ShimProvider(shim.New()),
		Name:                           "tls",
		Version:                        version,
		MetadataInfo:                   tfbridge.NewProviderMetadata([]byte("{}")),
		EnableZeroDefaultSchemaVersion: true,
		EnableAccuratePFBridgePreview:  true,
	}
	info.MustComputeTokens(tokens.SingleModule("tls_", "index", tokens.MakeStandard("tls")))
	return info
}
