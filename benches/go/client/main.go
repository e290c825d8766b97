// Go's net/http as a contestant among the clients: sends as many requests as standard input asks for, and says how long they took.
//
//	client ADDR
//
// A line "sequential N" or "tasks N TASKS" is answered with "done NANOSECONDS".
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const greeting = "Hello I am server 3"

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var way string
		var requests, tasks int
		tasks = 1
		if count, _ := fmt.Sscan(lines.Text(), &way, &requests, &tasks); count < 2 || tasks < 1 {
			fail(fmt.Errorf("not understood: %q", lines.Text()))
		}
		began := time.Now()
		if err := send("http://"+os.Args[1]+"/", requests, tasks); err != nil {
			fail(err)
		}
		fmt.Println("done", time.Since(began).Nanoseconds())
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func send(url string, requests, tasks int) error {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = tasks
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	if tasks == 1 {
		return several(client, url, requests)
	}
	results := make(chan error, tasks)
	for i := 0; i < tasks; i++ {
		go func() { results <- several(client, url, requests/tasks) }()
	}
	var first error
	for i := 0; i < tasks; i++ {
		if err := <-results; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func several(client *http.Client, url string, requests int) error {
	for i := 0; i < requests; i++ {
		response, err := client.Get(url)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
		if string(body) != greeting {
			return fmt.Errorf("the body is %q instead of %q", body, greeting)
		}
	}
	return nil
}
