// gorilla/websocket as a driver: reads commands from stdin, one a line with tabs between the words, and prints one line
// of JSON for each. The commands are in crates/tidegate/tests/stock/driver.rs.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

type answer map[string]any

// connection is a socket and what it hears, in order.
type connection struct {
	socket *websocket.Conn
	heard  chan answer
	pings  atomic.Int64
}

var connections = map[string]*connection{}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		reply, err := obey(strings.Split(lines.Text(), "\t"))
		if err != nil {
			reply = answer{"failed": err.Error()}
		}
		line, err := json.Marshal(reply)
		if err != nil {
			panic(err)
		}
		fmt.Println(string(line))
	}
}

func obey(words []string) (answer, error) {
	name := words[1]
	this := connections[name]
	switch words[0] {
	case "dial":
		return dial(name, words[2], words[3], words[4])
	case "again":
		for {
			if reply, err := dial(name, words[2], words[3], words[4]); err == nil && reply["refused"] == nil {
				return reply, nil
			}
			time.Sleep(100 * time.Millisecond)
		}
	case "say":
		return answer{"said": true}, this.socket.WriteMessage(websocket.TextMessage, []byte(words[2]))
	case "send":
		bytes, err := base64.StdEncoding.DecodeString(words[2])
		if err != nil {
			return nil, err
		}
		return answer{"said": true}, this.socket.WriteMessage(websocket.BinaryMessage, bytes)
	case "hear":
		millis, err := strconv.Atoi(words[2])
		if err != nil {
			return nil, err
		}
		select {
		case heard := <-this.heard:
			return heard, nil
		case <-time.After(time.Duration(millis) * time.Millisecond):
			return answer{"nothing": true}, nil
		}
	case "pings":
		return answer{"pings": this.pings.Load()}, nil
	case "close":
		message := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
		return answer{"said": true}, this.socket.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second))
	default:
		return answer{"unknown": words[0]}, nil
	}
}

func dial(name, url, protocol, token string) (answer, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	if protocol != "" {
		dialer.Subprotocols = []string{protocol}
	}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	socket, response, err := dialer.Dial(url, header)
	if errors.Is(err, websocket.ErrBadHandshake) {
		return answer{"refused": response.StatusCode}, nil
	}
	if err != nil {
		return nil, err
	}
	this := &connection{socket: socket, heard: make(chan answer, 1024)}
	pong := socket.PingHandler() // the stock one, which answers
	socket.SetPingHandler(func(data string) error {
		this.pings.Add(1)
		return pong(data)
	})
	connections[name] = this
	go this.listen()
	return answer{"open": socket.Subprotocol()}, nil
}

func (this *connection) listen() {
	defer this.socket.Close()
	for {
		kind, data, err := this.socket.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			this.heard <- answer{"closed": closed.Code, "reason": closed.Text}
			return
		case err != nil:
			this.heard <- answer{"failed": err.Error()}
			return
		case kind == websocket.TextMessage:
			this.heard <- answer{"text": string(data)}
		default:
			this.heard <- answer{"binary": base64.StdEncoding.EncodeToString(data)}
		}
	}
}
