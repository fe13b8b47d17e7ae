package main

import (
	"encoding/json"
	"strings"
)

func init() { functions["MyAutomation"] = myAutomationWork }

// myAutomationWork is my.automation: how many words a text has. Put your own work here, and what it takes into the catalogue.
func myAutomationWork(input json.RawMessage) (any, error) {
	var in struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, Refusal{"InvalidInput", err.Error()}
	}
	return map[string]any{"words": len(strings.Fields(in.Text))}, nil
}
