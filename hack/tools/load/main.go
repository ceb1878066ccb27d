// Load for the gateway's benchmark: `load engine`, `load rate`, `load streams`. Standard library only; each prints one
// JSON object as its last line.
//
// Latencies count from when a request should have been sent, so a subject that is slow cannot hide it by being asked
// less often (coordinated omission). Requests are bytes made once, on connections that are kept.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

type headers []string

func (h *headers) String() string { return strings.Join(*h, ", ") }
func (h *headers) Set(v string) error {
	*h = append(*h, v)
	return nil
}

// asked is what is sent: where to, and its bytes.
type asked struct {
	address string
	bytes   []byte
}

// request reads the flags that say what to send.
func request(set *flag.FlagSet, args []string) asked {
	var more headers
	to := set.String("url", "", "where to POST")
	body := set.String("body", "", "file with the body")
	set.Var(&more, "header", "Name: value; may be given again")
	check(set.Parse(args))
	parsed, err := url.Parse(*to)
	check(err)
	content, err := os.ReadFile(*body)
	check(err)
	host := parsed.Host
	text := ""
	for _, line := range more {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Host") {
			host = strings.TrimSpace(value)
			continue
		}
		text += line + "\r\n"
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n",
		parsed.RequestURI(), host, len(content), text)
	return asked{parsed.Host, append([]byte(head), content...)}
}

// until sleeps with the kernel's precision (0.05 ms); Go's own timers have one millisecond.
func until(at time.Time) {
	if left := time.Until(at); left > 0 {
		spec := syscall.NsecToTimespec(left.Nanoseconds())
		_ = syscall.Nanosleep(&spec, nil)
	}
}

func micros(d time.Duration) int64 { return d.Microseconds() }

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func main() {
	modes := map[string]func([]string) any{"engine": engine, "rate": rate, "streams": streams}
	if len(os.Args) < 2 || modes[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: load engine|rate|streams [flags]; -h after the mode lists its flags")
		os.Exit(2)
	}
	check(json.NewEncoder(os.Stdout).Encode(modes[os.Args[1]](os.Args[2:])))
}
