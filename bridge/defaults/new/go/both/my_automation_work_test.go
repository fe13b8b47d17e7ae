package main

import (
	"encoding/json"
	"os"
	"testing"
)

// The work with the input of the sample event. Run it with `go test`.
func TestMyAutomation(t *testing.T) {
	text, err := os.ReadFile("testdata/my.automation.json")
	if err != nil {
		t.Fatal(err)
	}
	var sample event
	if err := json.Unmarshal(text, &sample); err != nil {
		t.Fatal(err)
	}
	output, err := myAutomationWork(sample.Data)
	if words := output.(map[string]any)["words"]; err != nil || words != 6 {
		t.Fatalf("got %v words, %v; expected 6", words, err)
	}
}
