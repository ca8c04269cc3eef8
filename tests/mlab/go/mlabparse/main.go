// Command mlabparse says what traceroute-caller's own parser makes of files.
//
// It reads the names of files from standard input, and writes a line of JSON for each.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/m-lab/traceroute-caller/parser"
)

func main() {
	theirs, err := parser.New("mda", "jsonl")
	if err != nil {
		fail(err)
	}
	names := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for names.Scan() {
		content, err := os.ReadFile(names.Text())
		if err != nil {
			fail(err)
		}
		parsed, err := theirs.ParseRawData(content)
		if err != nil {
			fail(fmt.Errorf("%s: %w", names.Text(), err))
		}
		told := map[string]any{"start": parsed.StartTime().Unix(), "hops": parsed.ExtractHops()}
		if err := out.Encode(told); err != nil {
			fail(err)
		}
	}
	if err := names.Err(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
