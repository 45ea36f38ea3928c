package certificate

import (
	"slices"
	"testing"
)

func TestNamesAreSortedIntoKindsAndKeptOnce(t *testing.T) {
	dnsNames, addresses := splitNames("www.example.com", []string{"example.com", "localhost", "192.0.2.1", "0:0::1", "example.com"})
	if want := []string{"www.example.com", "example.com", "localhost"}; !slices.Equal(dnsNames, want) {
		t.Errorf("DNS names %q, want %q", dnsNames, want)
	}
	if want := []string{"192.0.2.1", "::1", "127.0.0.1"}; !slices.Equal(addresses, want) {
		t.Errorf("addresses %q, want %q", addresses, want)
	}
}

func TestALongDomainIsNoCommonName(t *testing.T) {
	long := "a-name-that-is-much-longer-than-the-sixty-four-characters-of-a-common-name.example.com"
	if got := commonName(long); got != "" {
		t.Errorf("common name %q", got)
	}
	if got := commonName("localhost"); got != "localhost" {
		t.Errorf("common name %q", got)
	}
}
