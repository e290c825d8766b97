// Go's net/http as a contestant among the servers.
//
//	server DELAY
//
// Prints its address; answers "begun" with the number of handlers that have begun to take time; stops gracefully at "stop" and says so.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

const greeting = "Hello I am server 3"

func main() {
	delay, err := time.ParseDuration(os.Args[1])
	if err != nil {
		fail(err)
	}
	var begun int64
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if delay > 0 {
			atomic.AddInt64(&begun, 1)
			time.Sleep(delay)
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, greeting)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: mux}
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			fail(err)
		}
	}()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() && lines.Text() == "begun" {
		fmt.Println("begun", atomic.LoadInt64(&begun))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		fail(err)
	}
	fmt.Println("stopped")
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
