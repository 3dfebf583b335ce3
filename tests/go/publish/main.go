// Publishes with go-redis, as a Go backend does.
// Usage: publish redis://127.0.0.1:6379 'tg:{chat:1}' PAYLOAD...
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: publish REDIS_URL KEY PAYLOAD...")
		os.Exit(2)
	}
	if err := publish(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func publish(url, key string, payloads []string) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, payload := range payloads {
		if err := client.Publish(ctx, key, payload).Err(); err != nil {
			return err
		}
	}
	return nil
}
