package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// An action whose result is what its argument says.
const says = "#!/bin/sh\nread -r line\nline=${line#*'\"says\":'}\nprintf '%s\\n' \"${line%%,\\\"__ow_*}\"\n"

// Results of web actions, as a Go program has them: one line a case.
func web(base string) {
	client := &http.Client{Timeout: time.Minute}
	send := func(method string, message any, headers map[string]string) (*http.Response, string, error) {
		body, _ := json.Marshal(message)
		request, err := http.NewRequest(method, base+"/", stream{strings.NewReader(string(body))})
		if err != nil {
			return nil, "", err
		}
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		// As many as a mesh adds.
		for n := 0; n < 60; n++ {
			request.Header.Set(fmt.Sprintf("X-Mesh-%d", n), "value")
		}
		answer, err := client.Do(request)
		if err != nil {
			return nil, "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return answer, string(text), err
	}
	tell := func(name string, err error) {
		if err != nil {
			fmt.Printf("%s\tFAILED\t%v\n", name, err)
			return
		}
		fmt.Printf("%s\tok\t1\n", name)
	}
	// The result as the action is to say it, its status and its body.
	result := func(says string, status int, body string, headers map[string]string) error {
		message := map[string]any{"activation": map[string]string{}, "value": map[string]json.RawMessage{"says": json.RawMessage(says)}}
		answer, text, err := send("POST", message, nil)
		if err != nil {
			return err
		}
		if answer.StatusCode != status || text != body {
			return fmt.Errorf("status %d, body %.200q", answer.StatusCode, text)
		}
		for name, value := range headers {
			if found := answer.Header.Get(name); found != value {
				return fmt.Errorf("%s: %q", name, found)
			}
		}
		if answer.Header.Get("Injected") != "" {
			return fmt.Errorf("a header was injected")
		}
		return nil
	}

	answer, text, err := send("POST", map[string]any{"init": map[string]string{"code": says}}, nil)
	if err == nil && (answer.StatusCode != 200 || text != `{"OK":true}`) {
		err = fmt.Errorf("status %d: %.200s", answer.StatusCode, text)
	}
	tell("init in chunks, 60 headers", err)
	tell("an object", result(`{"a":1}`, 200, `{"a":1}`, map[string]string{"Content-Type": "application/json"}))
	tell("status, header and body", result(`{"statusCode":418,"headers":{"X-Kind":"pot"},"body":"tea"}`, 418, "tea",
		map[string]string{"X-Kind": "pot", "Content-Type": "text/html", "Access-Control-Allow-Origin": "*"}))
	tell("a binary body", result(`{"headers":{"Content-Type":"image/png"},"body":"iVBORw=="}`, 200, "\x89PNG", map[string]string{"Content-Type": "image/png"}))
	tell("no content", result(`{"body":""}`, 204, "", nil))
	tell("a split header", result(`{"headers":{"X":"a\r\nInjected: yes"},"body":"whole"}`, 200, "whole", nil))
	tell("behind it the next answer", result(`{"a":2}`, 200, `{"a":2}`, nil))
	answer, _, err = send("OPTIONS", map[string]any{"value": map[string]json.RawMessage{"says": json.RawMessage(`{}`)}},
		map[string]string{"Origin": "https://a", "Access-Control-Request-Headers": "x-token"})
	if err == nil && answer.Header.Get("Access-Control-Allow-Headers") != "x-token" {
		err = fmt.Errorf("allowed %q", answer.Header.Get("Access-Control-Allow-Headers"))
	}
	tell("a preflight", err)
	answer, _, err = send("DELETE", map[string]any{}, nil)
	if err == nil && (answer.StatusCode != 405 || answer.Header.Get("Allow") != "POST, OPTIONS") {
		err = fmt.Errorf("status %d, Allow %q", answer.StatusCode, answer.Header.Get("Allow"))
	}
	tell("a method that is not taken", err)
}
