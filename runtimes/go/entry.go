// What the runtime adds to an action: main, which calls ACTION.

package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	actionproxyRun(ACTION)
}

// The argument and the result may be of any type that JSON can be read into and made of.
func actionproxyRun[Argument, Result any](action func(Argument) Result) {
	var argument Argument
	if err := json.NewDecoder(os.Stdin).Decode(&argument); err != nil {
		fmt.Fprintf(os.Stderr, "the argument is not what `ACTION` takes: %v\n", err)
		os.Exit(1)
	}
	result := action(argument)
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	if err := output.Encode(result); err != nil {
		fmt.Fprintf(os.Stderr, "what `ACTION` returned cannot be JSON: %v\n", err)
		os.Exit(1)
	}
}
