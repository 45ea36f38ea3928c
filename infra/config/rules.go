package config

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path"
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
	pathText     = regexp.MustCompile(`^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$`)
	size         = regexp.MustCompile(`^[1-9][0-9]{0,5}[MGT]B$`)
)

func isNotEmpty(text string) bool     { return text != "" }
func isVariableName(text string) bool { return variableName.MatchString(text) }
func isHTTPMode(text string) bool     { return text == HTTPRedirect || text == HTTPServe }

func isRetention(text string) bool { return retention.MatchString(text) }
func isSize(text string) bool      { return size.MatchString(text) }

// isPath: what curl, nginx and Prometheus read alike.
func isPath(text string) bool {
	_, err := url.ParseRequestURI(text)
	return err == nil && pathText.MatchString(text)
}

// PrivatePaths are the service's own affair: the proxy shows them to nobody outside.
var PrivatePaths = []string{"/healthz", "/readyz", "/metrics"}

// GrafanaPath is where the proxy serves Grafana, if that is there.
const GrafanaPath = "/grafana/"

// isKept tells whether the proxy would answer a path, as it reads it, by itself: it
// is one of kept, or below one that ends with a slash.
func isKept(text string, kept []string) bool {
	asked, _, _ := strings.Cut(text, "?")
	if decoded, err := url.PathUnescape(asked); err == nil {
		asked = decoded
	}
	read := path.Clean(asked)
	if strings.HasSuffix(asked, "/") && read != "/" {
		read += "/"
	}
	return slices.ContainsFunc(kept, func(own string) bool {
		return read == strings.TrimSuffix(own, "/") || strings.HasSuffix(own, "/") && strings.HasPrefix(read, own)
	})
}

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
