package config

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

var (
	domainLabel  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	retention    = regexp.MustCompile(`^([1-9][0-9]{0,4}[hd]|[1-9][0-9]{0,3}w|[1-9][0-9]?y)$`)
	logRetention = regexp.MustCompile(`^([1-9][0-9]{0,3}d|[1-9][0-9]{0,2}w|[1-9][0-9]?y)$`)
	path         = regexp.MustCompile(`^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$`)
	size         = regexp.MustCompile(`^[1-9][0-9]{0,5}[MGT]B$`)
)

func isNotEmpty(text string) bool     { return text != "" }
func isVariableName(text string) bool { return variableName.MatchString(text) }
func isHTTPMode(text string) bool     { return text == HTTPRedirect || text == HTTPServe }

func isPath(text string) bool      { return path.MatchString(text) }
func isRetention(text string) bool { return retention.MatchString(text) }
func isSize(text string) bool      { return size.MatchString(text) }

// isLogRetention: VictoriaLogs keeps whole days, and takes no more than a century.
func isLogRetention(text string) bool { return logRetention.MatchString(text) }

func isURL(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Hostname() != ""
}

func isEmailMember(name string) bool {
	return slices.Contains([]string{"to", "from", "server", "user", "password"}, name)
}

// isMailable tells whether somebody can be written to.
func isMailable(email Email) bool {
	_, toErr := mail.ParseAddress(email.To)
	_, fromErr := mail.ParseAddress(email.From)
	host, port, err := net.SplitHostPort(email.Server)
	return toErr == nil && fromErr == nil && err == nil && host != "" && port != ""
}

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
