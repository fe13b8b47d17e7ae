package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

const (
	batchSize = 100
	atOnce    = 16 // senders that wait for their answers at the same time
)

var body = make([]byte, 500)

type step func(context.Context, *azservicebus.Client, int) error

// measure sends COUNT messages one by one and in batches, receives and completes them all, and writes messages a second of each.
func measure(ctx context.Context, client *azservicebus.Client, count int) error {
	steps := []struct {
		name string
		act  step
	}{{"send", sendEach}, {"batches", sendBatches}, {"receive", func(c context.Context, client *azservicebus.Client, count int) error {
		return receiveAll(c, client, 2*count)
	}}}
	for _, step := range steps {
		began := time.Now()
		if err := step.act(ctx, client, count); err != nil {
			return err
		}
		done := count
		if step.name == "receive" {
			done = 2 * count
		}
		fmt.Printf("%s %.0f\n", step.name, float64(done)/time.Since(began).Seconds())
	}
	return nil
}

func sendEach(ctx context.Context, client *azservicebus.Client, count int) error {
	sender, err := client.NewSender("plain", nil)
	if err != nil {
		return err
	}
	return together(count, func() error { return sender.SendMessage(ctx, &azservicebus.Message{Body: body}, nil) })
}

func sendBatches(ctx context.Context, client *azservicebus.Client, count int) error {
	sender, err := client.NewSender("plain", nil)
	if err != nil {
		return err
	}
	for range count / batchSize {
		batch, err := sender.NewMessageBatch(ctx, nil)
		if err != nil {
			return err
		}
		for range batchSize {
			if err := batch.AddMessage(&azservicebus.Message{Body: body}, nil); err != nil {
				return err
			}
		}
		if err := sender.SendMessageBatch(ctx, batch, nil); err != nil {
			return err
		}
	}
	return nil
}

func receiveAll(ctx context.Context, client *azservicebus.Client, count int) error {
	receiver, err := client.NewReceiverForQueue("plain", nil)
	if err != nil {
		return err
	}
	for left := count; left > 0; {
		found, err := receiver.ReceiveMessages(ctx, min(left, 500), nil)
		if err != nil {
			return err
		}
		left -= len(found)
		messages := make(chan *azservicebus.ReceivedMessage, len(found))
		for _, message := range found {
			messages <- message
		}
		err = together(len(found), func() error { return receiver.CompleteMessage(ctx, <-messages, nil) })
		if err != nil {
			return err
		}
	}
	return nil
}

// together runs act count times, atOnce of them at a time; the first error is returned.
func together(count int, act func() error) error {
	work, faults := make(chan struct{}), make(chan error, atOnce)
	var group sync.WaitGroup
	for range atOnce {
		group.Add(1)
		go func() {
			defer group.Done()
			var fault error
			for range work {
				if fault == nil {
					fault = act()
				}
			}
			faults <- fault
		}()
	}
	for range count {
		work <- struct{}{}
	}
	close(work)
	group.Wait()
	close(faults)
	for fault := range faults {
		if fault != nil {
			return fault
		}
	}
	return nil
}
