package config

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/distribution/reference"
)

var (
	domainLabel  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

func isNotEmpty(text string) bool     { return text != "" }
func isVariableName(text string) bool { return variableName.MatchString(text) }
func isHTTPMode(text string) bool     { return text == HTTPRedirect || text == HTTPServe }

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func isImageReference(text string) bool {
	_, err := reference.ParseNormalizedNamed(text)
	return err == nil
}

// isDomain tells whether text is a host name (RFC 1123): the last label is not a
// number, or it would be read as an address.
func isDomain(text string) bool {
	if len(text) > 253 {
		return false
	}
	labels := strings.Split(text, ".")
	for _, label := range labels {
		if !domainLabel.MatchString(label) {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// isCertificateName allows a wildcard for the first label, as certificates do.
func isCertificateName(text string) bool {
	return isAddress(text) || isDomain(strings.TrimPrefix(text, "*."))
}
