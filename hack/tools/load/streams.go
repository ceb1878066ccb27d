package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

type streamed struct {
	Streams int     `json:"streams"`
	Tokens  int     `json:"tokens"`
	Failed  int     `json:"failed"`
	Failure string  `json:"failure"`
	First   []int64 `json:"first_us"`  // from when the request should have been sent to its first token
	Delays  []int64 `json:"delays_us"` // of each token, from its engine to here
	Gaps    []int64 `json:"gaps_us"`   // between a token and the next
}

// streams opens so many streams, spread over one second, and reads them to their end.
func streams(args []string) any {
	set := flag.NewFlagSet("streams", flag.ExitOnError)
	count := set.Int("streams", 64, "how many at once")
	what := request(set, args)
	results := make([]streamed, *count)
	began := time.Now().Add(5 * time.Millisecond)
	var done sync.WaitGroup
	for n := range results {
		done.Add(1)
		go func() {
			defer done.Done()
			at := began.Add(time.Second * time.Duration(n) / time.Duration(*count))
			if err := stream(what, at, &results[n]); err != nil {
				results[n].Failed, results[n].Failure = 1, err.Error()
			}
		}()
	}
	done.Wait()
	total := streamed{Streams: *count}
	for _, r := range results {
		total.Tokens, total.Failed = total.Tokens+r.Tokens, total.Failed+r.Failed
		total.First, total.Delays = append(total.First, r.First...), append(total.Delays, r.Delays...)
		total.Gaps = append(total.Gaps, r.Gaps...)
		if r.Failure != "" {
			total.Failure = r.Failure
		}
	}
	return total
}

func stream(what asked, at time.Time, r *streamed) error {
	conn, err := net.DialTimeout("tcp", what.address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	until(at)
	if _, err := conn.Write(what.bytes); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	var last time.Time
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		now := time.Now()
		parts := bytes.Split(lines.Bytes(), []byte("@"))
		if len(parts) < 3 {
			continue
		}
		sent, err := strconv.ParseInt(string(parts[1]), 10, 64)
		if err != nil {
			return err
		}
		if r.Tokens == 0 {
			r.First = append(r.First, micros(now.Sub(at)))
		} else {
			r.Gaps = append(r.Gaps, micros(now.Sub(last)))
		}
		r.Delays = append(r.Delays, (now.UnixNano()-sent)/1000)
		r.Tokens++
		last = now
	}
	return lines.Err()
}
