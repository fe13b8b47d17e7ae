// What azservicebus, unmodified, must be able to do against `bridge local servicebus`, and how fast: `client scenarios`,
// `client speed COUNT`, or `client fill COUNT` to send many. The environment variable CONNECTION_STRING says where.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

func connect(text string) (*azservicebus.Client, error) {
	return azservicebus.NewClientFromConnectionString(text, &azservicebus.ClientOptions{
		RetryOptions: azservicebus.RetryOptions{MaxRetries: -1},
	})
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	client, err := connect(os.Getenv("CONNECTION_STRING"))
	if err == nil && len(os.Args) == 3 {
		count, fault := strconv.Atoi(os.Args[2])
		if err = fault; err == nil {
			err = map[string]step{"speed": measure, "fill": sendBatches}[os.Args[1]](ctx, client, count)
		}
	} else if err == nil {
		err = tryAll(ctx, client)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
