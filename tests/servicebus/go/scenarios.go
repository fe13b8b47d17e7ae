package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// tried is what a scenario needs; its methods fail the scenario by a panic, which tryAll recovers from.
type tried struct {
	context context.Context
	client  *azservicebus.Client
}

type wrong struct{ error }

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(wrong{err})
	}
}

func same[T comparable](found, wanted T) {
	if found != wanted {
		panic(wrong{fmt.Errorf("%v is not %v", found, wanted)})
	}
}

// refused wants the error to have one of Service Bus's codes.
func refused(err error, code azservicebus.Code) {
	var fault *azservicebus.Error
	if !errors.As(err, &fault) || fault.Code != code {
		panic(wrong{fmt.Errorf("%v is not refused with %s", err, code)})
	}
}

// hasCondition wants the error to carry one of Service Bus's conditions, because the client has no code for it.
func hasCondition(err error, condition string) {
	if err == nil || !strings.Contains(err.Error(), condition) {
		panic(wrong{fmt.Errorf("%v is not %s", err, condition)})
	}
}

func (t tried) send(entity string, messages ...*azservicebus.Message) {
	sender := must(t.client.NewSender(entity, nil))
	for _, message := range messages {
		check(sender.SendMessage(t.context, message, nil))
	}
	check(sender.Close(t.context))
}

func (t tried) queue(name string, options *azservicebus.ReceiverOptions) *azservicebus.Receiver {
	return must(t.client.NewReceiverForQueue(name, options))
}

type receiving interface {
	ReceiveMessages(context.Context, int, *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	CompleteMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.CompleteMessageOptions) error
}

func (t tried) take(receiver receiving, count int) []*azservicebus.ReceivedMessage {
	patient, cancel := context.WithTimeout(t.context, 10*time.Second)
	defer cancel()
	var found []*azservicebus.ReceivedMessage
	for len(found) < count {
		found = append(found, must(receiver.ReceiveMessages(patient, count-len(found), nil))...)
	}
	return found
}

func (t tried) finish(receiver receiving, count int) {
	for _, message := range t.take(receiver, count) {
		check(receiver.CompleteMessage(t.context, message, nil))
	}
}

func (t tried) nothing(receiver receiving) {
	brief, cancel := context.WithTimeout(t.context, 500*time.Millisecond)
	defer cancel()
	found, err := receiver.ReceiveMessages(brief, 1, nil)
	same(len(found), 0)
	same(errors.Is(err, context.DeadlineExceeded), true)
}

func text(body string) *azservicebus.Message { return &azservicebus.Message{Body: []byte(body)} }

func in(session, body string) *azservicebus.Message {
	return &azservicebus.Message{Body: []byte(body), SessionID: &session}
}

var dead = &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter}

type scenario struct {
	name string
	act  func(tried)
}

var scenarios = []scenario{
	{"a message is sent, received and completed", func(t tried) {
		t.send("plain", text("hello"))
		receiver := t.queue("plain", nil)
		message := t.take(receiver, 1)[0]
		same(string(message.Body), "hello")
		same(message.DeliveryCount, uint32(1)) // this client adds one to the count of the header
		check(receiver.CompleteMessage(t.context, message, nil))
		t.nothing(receiver)
	}},
	{"a batch arrives in its order", func(t tried) {
		sender := must(t.client.NewSender("plain", nil))
		batch := must(sender.NewMessageBatch(t.context, nil))
		for number := range 50 {
			check(batch.AddMessage(text(fmt.Sprint(number)), nil))
		}
		check(sender.SendMessageBatch(t.context, batch, nil))
		receiver := t.queue("plain", nil)
		for number, message := range t.take(receiver, 50) {
			same(string(message.Body), fmt.Sprint(number))
			check(receiver.CompleteMessage(t.context, message, nil))
		}
	}},
	{"a large message goes in and out", func(t tried) {
		large := bytes.Repeat([]byte{7}, 900_000)
		t.send("plain", &azservicebus.Message{Body: large})
		receiver := t.queue("plain", nil)
		message := t.take(receiver, 1)[0]
		same(bytes.Equal(message.Body, large), true)
		check(receiver.CompleteMessage(t.context, message, nil))
	}},
	{"properties go round with their types", func(t tried) {
		word, life, properties := "zwölf", 5*time.Minute, map[string]any{
			"text": "zwölf", "int32": int32(-7), "int64": int64(1) << 40, "half": 0.5, "yes": true, "byte": uint8(3), "single": float32(0.25),
		}
		sent := text("{}")
		sent.MessageID, sent.CorrelationID, sent.Subject, sent.ReplyTo, sent.ContentType = &word, &word, &word, &word, &word
		sent.TimeToLive, sent.ApplicationProperties = &life, properties
		t.send("plain", sent)
		receiver := t.queue("plain", nil)
		found := t.take(receiver, 1)[0]
		same(found.MessageID, word)
		for _, each := range []*string{found.CorrelationID, found.Subject, found.ReplyTo, found.ContentType} {
			same(*each, word)
		}
		for name, value := range properties {
			same(found.ApplicationProperties[name], value)
		}
		same(*found.TimeToLive, life)
		check(receiver.CompleteMessage(t.context, found, nil))
	}},
	{"an abandoned message comes back until its count is used up", func(t tried) {
		t.send("three", text("x"))
		receiver := t.queue("three", nil)
		for count := range uint32(3) {
			message := t.take(receiver, 1)[0]
			same(message.DeliveryCount, count+1)
			check(receiver.AbandonMessage(t.context, message, nil))
		}
		letters := t.queue("three", dead)
		letter := t.take(letters, 1)[0]
		same(*letter.DeadLetterReason, "MaxDeliveryCountExceeded")
		check(letters.CompleteMessage(t.context, letter, nil))
	}},
	{"a dead letter keeps reason and description", func(t tried) {
		reason, description := "Reason", "Description"
		t.send("plain", text("bad"))
		receiver := t.queue("plain", nil)
		options := azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &description}
		check(receiver.DeadLetterMessage(t.context, t.take(receiver, 1)[0], &options))
		letters := t.queue("plain", dead)
		letter := t.take(letters, 1)[0]
		same(*letter.DeadLetterReason, reason)
		same(*letter.DeadLetterErrorDescription, description)
		check(letters.CompleteMessage(t.context, letter, nil))
	}},
	{"a lock can be renewed, and ends", func(t tried) {
		t.send("short", text("x"))
		receiver := t.queue("short", nil)
		message := t.take(receiver, 1)[0]
		before := *message.LockedUntil
		time.Sleep(400 * time.Millisecond)
		check(receiver.RenewMessageLock(t.context, message, nil))
		same(message.LockedUntil.After(before), true)
		time.Sleep(1600 * time.Millisecond)
		refused(receiver.CompleteMessage(t.context, message, nil), azservicebus.CodeLockLost)
		t.finish(receiver, 1)
	}},
	{"peeking changes nothing", func(t tried) {
		t.send("plain", text("0"), text("1"), text("2"))
		receiver := t.queue("plain", nil)
		found := must(receiver.PeekMessages(t.context, 10, nil))
		same(len(found), 3)
		later := must(receiver.PeekMessages(t.context, 10, &azservicebus.PeekMessagesOptions{FromSequenceNumber: found[1].SequenceNumber}))
		same(string(later[0].Body), "1")
		t.finish(receiver, 3)
		same(len(must(t.queue("plain", nil).PeekMessages(t.context, 10, nil))), 0)
	}},
	{"a deferred message is received by its number", func(t tried) {
		t.send("plain", text("later"))
		receiver := t.queue("plain", nil)
		message := t.take(receiver, 1)[0]
		check(receiver.DeferMessage(t.context, message, nil))
		numbers := []int64{*message.SequenceNumber}
		deferred := must(receiver.ReceiveDeferredMessages(t.context, numbers, nil))
		same(string(deferred[0].Body), "later")
		check(receiver.CompleteMessage(t.context, deferred[0], nil))
		_, err := receiver.ReceiveDeferredMessages(t.context, numbers, nil)
		hasCondition(err, "status code 404")
	}},
	{"a scheduled message comes at its time unless it is cancelled", func(t tried) {
		sender, at := must(t.client.NewSender("plain", nil)), time.Now().Add(1500*time.Millisecond)
		numbers := must(sender.ScheduleMessages(t.context, []*azservicebus.Message{text("kept"), text("cancelled")}, at, nil))
		check(sender.CancelScheduledMessages(t.context, numbers[1:], nil))
		receiver := t.queue("plain", nil)
		message := t.take(receiver, 1)[0]
		same(string(message.Body), "kept")
		same(time.Now().After(at.Add(-50*time.Millisecond)), true)
		check(receiver.CompleteMessage(t.context, message, nil))
		t.nothing(receiver)
	}},
	{"each subscription gets what its rule selects", func(t tried) {
		subject := "order"
		for _, color := range []string{"red", "blue"} {
			message := text(color)
			message.Subject, message.ApplicationProperties = &subject, map[string]any{"color": color}
			t.send("events", message)
		}
		all, red := must(t.client.NewReceiverForSubscription("events", "all", nil)), must(t.client.NewReceiverForSubscription("events", "red", nil))
		t.finish(all, 2)
		message := t.take(red, 1)[0]
		same(string(message.Body), "red")
		check(red.CompleteMessage(t.context, message, nil))
		t.nothing(red)
	}},
	{"receive and delete takes messages at once", func(t tried) {
		t.send("plain", text("1"), text("2"))
		receiver := t.queue("plain", &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete})
		same(len(t.take(receiver, 2)), 2)
		t.nothing(t.queue("plain", nil))
	}},
	{"a repeated message id is dropped where the queue says so", func(t tried) {
		id := "same for go"
		for range 2 {
			message := text("x")
			message.MessageID = &id
			t.send("distinct", message)
		}
		receiver := t.queue("distinct", nil)
		t.finish(receiver, 1)
		t.nothing(receiver)
	}},
	{"an entity that does not exist is named as missing", func(t tried) {
		err := must(t.client.NewSender("missing", nil)).SendMessage(t.context, text("x"), nil)
		hasCondition(err, "amqp:not-found")
	}},
	{"a session is delivered in order, keeps a state and has one receiver", func(t tried) {
		t.send("long-sessions", in("go", "0"), in("go", "1"), in("go", "2"))
		receiver := must(t.client.AcceptSessionForQueue(t.context, "long-sessions", "go", nil))
		same(receiver.SessionID(), "go")
		check(receiver.SetSessionState(t.context, []byte("kept"), nil))
		same(string(must(receiver.GetSessionState(t.context, nil))), "kept")
		check(receiver.RenewSessionLock(t.context, nil))
		_, err := t.client.AcceptSessionForQueue(t.context, "long-sessions", "go", nil)
		hasCondition(err, "com.microsoft:session-cannot-be-locked")
		for number, message := range t.take(receiver, 3) {
			same(string(message.Body), fmt.Sprint(number))
			check(receiver.CompleteMessage(t.context, message, nil))
		}
		check(receiver.SetSessionState(t.context, nil, nil))
		check(receiver.Close(t.context))
	}},
	{"the next session is one with messages", func(t tried) {
		t.send("long-sessions", in("next", "x"))
		receiver := must(t.client.AcceptNextSessionForQueue(t.context, "long-sessions", nil))
		same(receiver.SessionID(), "next")
		t.finish(receiver, 1)
		check(receiver.Close(t.context))
	}},
	{"a wrong key is refused", func(t tried) {
		wrongKey := regexp.MustCompile("SharedAccessKey=[^;]*").ReplaceAllString(os.Getenv("CONNECTION_STRING"), "SharedAccessKey=d3Jvbmc=")
		other := must(connect(wrongKey))
		err := must(other.NewSender("plain", nil)).SendMessage(t.context, text("x"), nil)
		refused(err, azservicebus.CodeUnauthorizedAccess)
	}},
}

func tryAll(ctx context.Context, client *azservicebus.Client) error {
	failed := 0
	for _, each := range scenarios {
		if err := each.try(tried{ctx, client}); err != nil {
			failed++
			fmt.Printf("FAILED %s: %v\n", each.name, err)
		} else {
			fmt.Printf("ok %s\n", each.name)
		}
	}
	fmt.Printf("%d passed, %d failed\n", len(scenarios)-failed, failed)
	if failed > 0 {
		return errors.New("not all of them passed")
	}
	return nil
}

func (s scenario) try(t tried) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			if found, ok := fault.(wrong); ok {
				err = found.error
				return
			}
			panic(fault)
		}
	}()
	s.act(t)
	return nil
}
