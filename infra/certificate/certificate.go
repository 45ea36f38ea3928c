// Package certificate makes the stack's certificate authority and the server
// certificate that the proxy shows.
package certificate

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/pulumi/pulumi-tls/sdk/v5/go/tls"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Validity in hours, and how long before its end an update renews.
const (
	authorityValidity = 10 * 365 * 24
	authorityRenewal  = 365 * 24
	serverValidity    = 365 * 24
	serverRenewal     = 30 * 24
)

// Args says whom the server certificate is for.
type Args struct {
	Organization string   // who issues: the project's name
	Domain       string   // the certificate's first name
	Names        []string // further DNS names and IP addresses
}

// Certificate is a server certificate with its key, and the authority that
// signed it. All are PEM.
type Certificate struct {
	pulumi.ResourceState

	Authority   pulumi.StringOutput // the authority's certificate, for clients to trust
	Certificate pulumi.StringOutput
	Key         pulumi.StringOutput // secret
}

// New makes an authority and a server certificate, both with keys on the P-256
// curve. An update renews them inside their renewal window.
func New(ctx *pulumi.Context, name string, args Args, opts ...pulumi.ResourceOption) (*Certificate, error) {
	c := &Certificate{}
	if err := ctx.RegisterComponentResource("helloworld:certificate:Certificate", name, c, opts...); err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	child := pulumi.Parent(c)
	authorityKey, err := newKey(ctx, name+"-authority", child)
	if err != nil {
		return nil, err
	}
	authority, err := tls.NewSelfSignedCert(ctx, name+"-authority", &tls.SelfSignedCertArgs{
		PrivateKeyPem: authorityKey.PrivateKeyPem,
		Subject: tls.SelfSignedCertSubjectArgs{
			CommonName:   pulumi.String(args.Organization + " CA"),
			Organization: pulumi.String(args.Organization),
		},
		IsCaCertificate:     pulumi.Bool(true),
		SetSubjectKeyId:     pulumi.Bool(true),
		AllowedUses:         pulumi.ToStringArray([]string{"cert_signing", "crl_signing"}),
		ValidityPeriodHours: pulumi.Int(authorityValidity),
		EarlyRenewalHours:   pulumi.Int(authorityRenewal),
	}, child)
	if err != nil {
		return nil, fmt.Errorf("create authority certificate: %w", err)
	}
	key, err := newKey(ctx, name+"-server", child)
	if err != nil {
		return nil, err
	}
	dnsNames, addresses := splitNames(args.Domain, args.Names)
	request, err := tls.NewCertRequest(ctx, name+"-server", &tls.CertRequestArgs{
		PrivateKeyPem: key.PrivateKeyPem,
		Subject:       tls.CertRequestSubjectArgs{CommonName: pulumi.String(commonName(args.Domain))},
		DnsNames:      pulumi.ToStringArray(dnsNames),
		IpAddresses:   pulumi.ToStringArray(addresses),
	}, child)
	if err != nil {
		return nil, fmt.Errorf("create certificate request: %w", err)
	}
	server, err := tls.NewLocallySignedCert(ctx, name+"-server", &tls.LocallySignedCertArgs{
		CaCertPem:           authority.CertPem,
		CaPrivateKeyPem:     authorityKey.PrivateKeyPem,
		CertRequestPem:      request.CertRequestPem,
		SetSubjectKeyId:     pulumi.Bool(true),
		AllowedUses:         pulumi.ToStringArray([]string{"digital_signature", "server_auth"}),
		ValidityPeriodHours: pulumi.Int(serverValidity),
		EarlyRenewalHours:   pulumi.Int(serverRenewal),
	}, child)
	if err != nil {
		return nil, fmt.Errorf("create server certificate: %w", err)
	}
	c.Authority, c.Certificate = authority.CertPem, server.CertPem
	c.Key = pulumi.ToSecret(key.PrivateKeyPem).(pulumi.StringOutput)
	if err := ctx.RegisterResourceOutputs(c, pulumi.Map{"authority": c.Authority, "certificate": c.Certificate, "key": c.Key}); err != nil {
		return nil, fmt.Errorf("register outputs of %s: %w", name, err)
	}
	return c, nil
}

func newKey(ctx *pulumi.Context, name string, opts ...pulumi.ResourceOption) (*tls.PrivateKey, error) {
	key, err := tls.NewPrivateKey(ctx, name, &tls.PrivateKeyArgs{
		Algorithm:  pulumi.String("ECDSA"),
		EcdsaCurve: pulumi.String("P256"),
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("create %s key: %w", name, err)
	}
	return key, nil
}

// commonName leaves out a name that is longer than a subject may hold: clients
// read the alternative names.
func commonName(domain string) string {
	if len(domain) > 64 {
		return ""
	}
	return domain
}

// splitNames sorts the names into DNS names and IP addresses, adds the local
// host's, and keeps each once.
func splitNames(domain string, names []string) (dnsNames, addresses []string) {
	for _, name := range slices.Concat([]string{domain}, names, []string{"localhost", "127.0.0.1", "::1"}) {
		list := &dnsNames
		if address, err := netip.ParseAddr(name); err == nil {
			list, name = &addresses, address.String()
		}
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	return dnsNames, addresses
}
