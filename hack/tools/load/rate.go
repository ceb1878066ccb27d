package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// line is one kept connection.
type line struct {
	what asked
	conn net.Conn
	read *bufio.Reader
}

// ask sends the request and reads the whole answer.
func (l *line) ask() error {
	if l.conn == nil {
		conn, err := net.DialTimeout("tcp", l.what.address, 5*time.Second)
		if err != nil {
			return err
		}
		l.conn, l.read = conn, bufio.NewReader(conn)
	}
	_ = l.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := l.conn.Write(l.what.bytes); err != nil {
		l.drop()
		return err
	}
	response, err := http.ReadResponse(l.read, nil)
	if err != nil {
		l.drop()
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.Close {
		l.drop()
	}
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.300s", response.StatusCode, body)
	}
	return err
}

func (l *line) drop() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

type rated struct {
	Seconds float64 `json:"seconds"`
	Sent    int     `json:"sent"`
	Failed  int     `json:"failed"`
	Failure string  `json:"failure"`
	// Unsent should have been sent and never could: each is in Latencies with the time it had waited.
	Unsent    int     `json:"unsent"`
	Latencies []int64 `json:"latencies_us"`
}

// rate keeps to a schedule (open loop), or with -rate 0 asks again as soon as it is answered (closed loop).
func rate(args []string) any {
	set := flag.NewFlagSet("rate", flag.ExitOnError)
	connections := set.Int("connections", 1, "kept connections, each with its share of the rate")
	perSecond := set.Float64("rate", 0, "requests a second over all connections; 0: as many as are answered")
	seconds := set.Float64("seconds", 5, "how long")
	warm := set.Int("warm", 20, "requests on each connection before, not counted")
	what := request(set, args)
	debug.SetGCPercent(400)

	lines := make([]*line, *connections)
	var ready sync.WaitGroup
	for n := range lines {
		lines[n] = &line{what: what}
		ready.Add(1)
		go func() {
			defer ready.Done()
			for range *warm {
				check(lines[n].ask())
			}
		}()
	}
	ready.Wait()
	results := make([]rated, *connections)
	began := time.Now().Add(5 * time.Millisecond)
	end := began.Add(time.Duration(*seconds * float64(time.Second)))
	var done sync.WaitGroup
	for n := range lines {
		done.Add(1)
		go func() {
			defer done.Done()
			if *perSecond > 0 {
				pause := time.Duration(float64(*connections) / *perSecond * float64(time.Second))
				results[n] = open(lines[n], began.Add(pause*time.Duration(n)/time.Duration(*connections)), pause, end)
			} else {
				results[n] = closed(lines[n], end)
			}
		}()
	}
	done.Wait()
	total := rated{Seconds: time.Since(began).Seconds()}
	for _, r := range results {
		total.Sent, total.Failed, total.Unsent = total.Sent+r.Sent, total.Failed+r.Failed, total.Unsent+r.Unsent
		total.Latencies = append(total.Latencies, r.Latencies...)
		if r.Failure != "" {
			total.Failure = r.Failure
		}
	}
	return total
}

func (r *rated) count(err error) {
	r.Sent++
	if err != nil {
		r.Failed++
		r.Failure = err.Error()
	}
}

func open(l *line, at time.Time, pause time.Duration, end time.Time) (r rated) {
	for ; at.Before(end); at = at.Add(pause) {
		if time.Now().Before(end) {
			until(at)
			r.count(l.ask())
		} else {
			r.Unsent++
		}
		r.Latencies = append(r.Latencies, micros(time.Since(at)))
	}
	return r
}

func closed(l *line, end time.Time) (r rated) {
	for at := time.Now(); at.Before(end); at = time.Now() {
		r.count(l.ask())
		r.Latencies = append(r.Latencies, micros(time.Since(at)))
	}
	return r
}
