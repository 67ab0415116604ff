// Go's client, and ReverseProxy, Knative's and Kubernetes' way to an application.
//
//	clients client URL     the cases, one line each
//	clients web URL        the same against the single entrypoint
//	clients front URL      a ReverseProxy before URL, its address on the first line
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

func main() {
	switch os.Args[1] {
	case "client":
		client(os.Args[2])
	case "web":
		web(os.Args[2])
	case "front":
		front(os.Args[2])
	}
}

func front(to string) {
	target, err := url.Parse(to)
	if err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	proxy := httputil.NewSingleHostReverseProxy(target)
	panic(http.Serve(listener, proxy))
}

func argument(size int) []byte {
	body, _ := json.Marshal(map[string]any{"value": map[string]string{"a": strings.Repeat("x", size)}})
	return body
}

// Hides the length of a body, so that it goes in chunks.
type stream struct{ io.Reader }

var connections int

func run(client *http.Client, base string, path string, body io.Reader, change func(*http.Request)) (int, []byte, error) {
	request, err := http.NewRequest("POST", base+path, body)
	if err != nil {
		return 0, nil, err
	}
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			connections++
		}
	}}
	request = request.WithContext(httptrace.WithClientTrace(request.Context(), trace))
	request.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(request)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}

func check(size int, status int, text []byte, err error) error {
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("status %d: %.200s", status, text)
	}
	var result map[string]string
	if err := json.Unmarshal(text, &result); err != nil {
		return err
	}
	if result["a"] != strings.Repeat("x", size) {
		return fmt.Errorf("another result, %d bytes", len(text))
	}
	return nil
}

func times(name string, count int, work func() error) {
	for n := 0; n < count; n++ {
		if err := work(); err != nil {
			fmt.Printf("%s\tFAILED\t%d: %s\n", name, n, strings.NewReplacer("\n", " ", "\t", " ").Replace(err.Error()))
			return
		}
	}
	fmt.Printf("%s\tok\t%d\n", name, count)
}

func client(base string) {
	transport := &http.Transport{ExpectContinueTimeout: time.Second, MaxIdleConnsPerHost: 8}
	kept := &http.Client{Transport: transport, Timeout: time.Minute}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	headers := func(request *http.Request) {
		for n := 0; n < 30; n++ {
			request.Header.Set(fmt.Sprintf("X-Added-%d", n), strings.Repeat("y", 40))
		}
	}
	expect := func(request *http.Request) { request.Header.Set("Expect", "100-continue") }
	one := func(client *http.Client, size int, body io.Reader, change func(*http.Request)) error {
		status, text, err := run(client, base, "/run", body, change)
		return check(size, status, text, err)
	}
	times("small, fresh", 100, func() error { return one(fresh, 1, bytes.NewReader(argument(1)), nil) })
	connections = 0
	times("small, kept", 200, func() error { return one(kept, 1, bytes.NewReader(argument(1)), nil) })
	times("one connection", 1, func() error {
		if connections != 1 {
			return fmt.Errorf("%d connections", connections)
		}
		return nil
	})
	times("30 headers", 100, func() error { return one(kept, 1, bytes.NewReader(argument(1)), headers) })
	for _, size := range []struct {
		name         string
		bytes, count int
	}{{"20 KiB", 20 << 10, 20}, {"1.5 MB", 1500000, 5}} {
		body := argument(size.bytes)
		times(size.name+", length", size.count, func() error {
			return one(kept, size.bytes, bytes.NewReader(body), nil)
		})
		times(size.name+", chunked", size.count, func() error {
			return one(kept, size.bytes, stream{bytes.NewReader(body)}, nil)
		})
		times(size.name+", chunked, 30 headers, fresh", size.count, func() error {
			return one(fresh, size.bytes, stream{bytes.NewReader(body)}, headers)
		})
		times(size.name+", expect", size.count, func() error {
			return one(kept, size.bytes, bytes.NewReader(body), expect)
		})
	}
	times("refused, then served", 20, func() error {
		status, text, err := run(kept, base, "/nothing", bytes.NewReader(argument(20<<10)), nil)
		if err != nil {
			return err
		}
		if status != 404 || !strings.Contains(string(text), "error") {
			return fmt.Errorf("status %d: %.200s", status, text)
		}
		return one(kept, 1, bytes.NewReader(argument(1)), nil)
	})
	times("50 at once", 4, func() error {
		errors := make([]error, 50)
		var all sync.WaitGroup
		transport := &http.Transport{MaxIdleConnsPerHost: 50}
		many := &http.Client{Transport: transport, Timeout: time.Minute}
		for n := range errors {
			all.Add(1)
			go func(n int) {
				defer all.Done()
				request, err := http.NewRequest("POST", base+"/run", stream{bytes.NewReader(argument(n))})
				if err != nil {
					errors[n] = err
					return
				}
				answer, err := many.Do(request)
				if err != nil {
					errors[n] = err
					return
				}
				defer answer.Body.Close()
				text, err := io.ReadAll(answer.Body)
				errors[n] = check(n, answer.StatusCode, text, err)
			}(n)
		}
		all.Wait()
		transport.CloseIdleConnections()
		for _, err := range errors {
			if err != nil {
				return err
			}
		}
		return nil
	})
}
