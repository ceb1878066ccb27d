package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const answer = `{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bot","choices":[{"index":0,` +
	`"message":{"role":"assistant","content":"Our support desk is open Monday to Friday from 8:30 to 17:30."},` +
	`"finish_reason":"stop"}],"usage":{"prompt_tokens":220,"completion_tokens":18,"total_tokens":238}}`

const chunk = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"bot",` +
	`"choices":[{"index":0,"delta":{%s},"finish_reason":%s}]}` + "\n\n"

// engine answers at once, or streams `max_tokens` tokens, one each 20 ms; a token says when it was sent.
func engine(args []string) any {
	set := flag.NewFlagSet("engine", flag.ExitOnError)
	pause := set.Duration("pause", 20*time.Millisecond, "between tokens")
	check(set.Parse(args))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	handler := http.NewServeMux()
	handler.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	handler.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Stream    bool `json:"stream"`
			MaxTokens int  `json:"max_tokens"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if asked.Stream {
			tokens(w, r, asked.MaxTokens, *pause)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	})
	check(http.Serve(listener, handler))
	return nil
}

func tokens(w http.ResponseWriter, r *http.Request, count int, pause time.Duration) {
	w.Header().Set("Content-Type", "text/event-stream")
	flusher := w.(http.Flusher)
	next := time.Now()
	for range count {
		until(next)
		_, err := fmt.Fprintf(w, chunk, fmt.Sprintf(`"content":"@%d@ "`, time.Now().UnixNano()), "null")
		if err != nil || r.Context().Err() != nil {
			return
		}
		flusher.Flush()
		next = next.Add(pause)
	}
	_, _ = fmt.Fprintf(w, chunk, "", `"stop"`)
	_, _ = io.WriteString(w, "data: [DONE]\n\n")
}
