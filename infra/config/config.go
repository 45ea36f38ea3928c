// Package config is everything the stack can be told: its keys, their defaults
// and what is allowed.
package config

// Config is a valid configuration: Load returns no other.
type Config struct {
	Replicas int // copies of the service, 1 to 100
	App      App
	Proxy    Proxy
	Images   Images
}

// App describes the service and one replica of it.
type App struct {
	Build         string            // build context, an absolute path; empty when Image is set
	Image         string            // an image to run instead of building one
	Port          int               // TCP port the service listens on
	HealthCommand []string          // run inside the container; exit code 0 means ready
	Env           map[string]string // further environment of the service
	EnvSecret     bool              // whether app has a secret: then all values of Env are
	Memory        int               // limit in MB
	CPUs          float64           // limit in cores
	Pids          int               // limit of processes and threads
	StartTimeout  int               // seconds in which a new replica must become healthy
	StopGrace     int               // seconds from SIGTERM to SIGKILL
}

// Proxy describes how the service is reached from outside.
type Proxy struct {
	Domain    string   // server name, first name of the certificate
	Names     []string // further DNS names and IP addresses of the certificate
	Bind      string   // IP address of the host on which the ports are published
	HTTPPort  int
	HTTPSPort int
	HTTP      string // HTTPRedirect or HTTPServe
}

// What the HTTP port does.
const (
	HTTPRedirect = "redirect" // sends everyone to HTTPS
	HTTPServe    = "serve"    // proxies like the HTTPS port
)

// Images holds an image reference for each component that the project does not
// build itself, and the image the service is built with.
type Images struct {
	Nginx   string
	Builder string
}

// UpstreamImages are the references used where the configuration names no other.
var UpstreamImages = Images{
	Nginx:   "nginx:1.30.5-alpine",
	Builder: "golang:1.26.7-alpine",
}

// References returns the images by the name they have in the configuration.
func (i *Images) References() map[string]*string {
	return map[string]*string{"nginx": &i.Nginx, "builder": &i.Builder}
}
