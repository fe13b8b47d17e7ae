// A custom handler of Azure Functions: the host starts this program and posts each call of a function to it as JSON. Build it with
// `go build -o handler .`, for Azure with GOOS=linux GOARCH=amd64.
package main

import (
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
)

// Work is what an automation does: its input in, its output out.
type Work func(input json.RawMessage) (any, error)

// Refusal is an error that a caller can do something about. It becomes the error of the run.
type Refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (r Refusal) Error() string { return r.Message }

var functions = map[string]Work{}

type call struct {
	Data struct {
		Request *struct{ Body string }
		Message json.RawMessage `json:"message"`
	}
}

// event is a CloudEvent: automation.invoked as it comes, automation.result as it goes.
type event struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Type            string          `json:"type"`
	Source          string          `json:"source"`
	Subject         string          `json:"subject"`
	CorrelationID   string          `json:"correlationid"`
	CausationID     string          `json:"causationid,omitempty"`
	InvocationToken string          `json:"invocationtoken"`
	TraceParent     string          `json:"traceparent,omitempty"`
	ContentType     string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

func main() {
	for name, work := range functions {
		http.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) { serve(w, r, work) })
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), nil))
}

func serve(w http.ResponseWriter, r *http.Request, work Work) {
	var given call
	err := json.NewDecoder(r.Body).Decode(&given)
	var outputs any
	if err == nil && given.Data.Request != nil {
		outputs, err = answered(json.RawMessage(given.Data.Request.Body), work)
	} else if err == nil {
		outputs, err = resulted(given.Data.Message, work)
	}
	if err != nil { // the host counts the call as failed, so it is tried again
		log.Print(err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("content-type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"Outputs": outputs})
}

// answered is the response of an HTTP function: 200 with the output, or 422 with code and message.
func answered(input json.RawMessage, work Work) (any, error) {
	output, err := work(input)
	status := http.StatusOK
	var refusal Refusal
	if errors.As(err, &refusal) {
		output, status, err = refusal, http.StatusUnprocessableEntity, nil
	}
	body, wrong := json.Marshal(output)
	headers := map[string]string{"content-type": "application/json"}
	return map[string]any{"Response": map[string]any{"statusCode": status, "headers": headers, "body": string(body)}}, errors.Join(err, wrong)
}

// resulted is the event with the result of a function behind a topic. The host hands the text of a message over as a JSON string in a
// JSON string.
func resulted(message json.RawMessage, work Work) (any, error) {
	for text := ""; json.Unmarshal(message, &text) == nil; {
		message = json.RawMessage(text)
	}
	var invoked event
	if err := json.Unmarshal(message, &invoked); err != nil {
		return nil, err
	}
	if invoked.Type != "automation.invoked" {
		return nil, errors.New("the message is no automation.invoked event; only the bridge sends to this topic")
	}
	output, err := work(invoked.Data)
	data := map[string]any{"status": "succeeded", "output": output}
	var refusal Refusal
	if errors.As(err, &refusal) {
		data, err = map[string]any{"status": "failed", "error": refusal}, nil
	}
	content, wrong := json.Marshal(data)
	result := event{
		SpecVersion: "1.0", ID: invoked.ID + "/result", Type: "automation.result", Source: "/my-app", Subject: invoked.Subject,
		CorrelationID: invoked.CorrelationID, CausationID: invoked.ID, InvocationToken: invoked.InvocationToken,
		TraceParent: invoked.TraceParent, ContentType: "application/json", Data: content,
	}
	sent, broken := json.Marshal(result)
	return map[string]any{"result": string(sent)}, errors.Join(err, wrong, broken)
}
