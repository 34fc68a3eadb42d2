// An echo server as Go programs are written: a goroutine for each connection, blocking calls, and a runtime
// that turns them into readiness on as many threads as --threads says.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const drainTime = 5 * time.Second // how long stopping may take

type server struct {
	accepted, requests, bytesIn, bytesOut atomic.Int64

	mutex       sync.Mutex
	connections map[*net.TCPConn]struct{}
	served      sync.WaitGroup
}

func (s *server) echo(connection *net.TCPConn) {
	defer s.served.Done()
	defer s.forget(connection)
	var requests, in, out int64
	defer func() { s.requests.Add(requests); s.bytesIn.Add(in); s.bytesOut.Add(out) }()
	buffer := make([]byte, 32*1024) // io.Copy's size
	for {
		n, err := connection.Read(buffer)
		if n > 0 {
			requests++
			in += int64(n)
			n, writeErr := connection.Write(buffer[:n])
			out += int64(n)
			if writeErr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *server) accept(listener *net.TCPListener) {
	for {
		connection, err := listener.AcceptTCP() // TCP_NODELAY is on
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor left
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.accepted.Add(1)
		s.served.Add(1)
		s.mutex.Lock()
		s.connections[connection] = struct{}{}
		s.mutex.Unlock()
		go s.echo(connection)
	}
}

func (s *server) forget(connection *net.TCPConn) {
	s.mutex.Lock()
	delete(s.connections, connection)
	s.mutex.Unlock()
	connection.Close()
}

func (s *server) forEach(do func(*net.TCPConn)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for connection := range s.connections {
		do(connection)
	}
}

// What the system has received is answered; a peer that does not read is not waited for any longer than drainTime.
func (s *server) drain() {
	s.forEach(func(c *net.TCPConn) { c.CloseRead() })
	late := time.AfterFunc(drainTime, func() { s.forEach(func(c *net.TCPConn) { c.SetLinger(0); c.Close() }) })
	s.served.Wait()
	late.Stop()
}

func printLine(line map[string]any) {
	line["variant"] = "go"
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		fmt.Fprintln(os.Stderr, "echo-go: cannot write to standard output:", err)
		os.Exit(1)
	}
}

func main() {
	bind := flag.String("bind", "127.0.0.1", "`address` to listen on")
	port := flag.Uint("port", 0, "TCP port; 0 takes any free one")
	threads := flag.Uint("threads", 1, "threads that run goroutines (GOMAXPROCS)")
	flag.Parse()
	if flag.NArg() > 0 || *port > 65535 || *threads == 0 {
		flag.Usage()
		os.Exit(2)
	}
	runtime.GOMAXPROCS(int(*threads))

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	listening, err := net.Listen("tcp", net.JoinHostPort(*bind, strconv.Itoa(int(*port)))) // backlog: somaxconn
	if err != nil {
		fmt.Fprintln(os.Stderr, "echo-go:", err)
		os.Exit(1)
	}
	listener := listening.(*net.TCPListener)
	s := &server{connections: map[*net.TCPConn]struct{}{}}
	accepting := make(chan struct{})
	go func() { s.accept(listener); close(accepting) }()
	printLine(map[string]any{"event": "listening", "addresses": []string{listener.Addr().String()}, "pid": os.Getpid()})

	<-stop
	listener.Close()
	<-accepting
	s.drain()
	printLine(map[string]any{"event": "stopped", "accepted": s.accepted.Load(), "requests": s.requests.Load(),
		"bytes_in": s.bytesIn.Load(), "bytes_out": s.bytesOut.Load()})
}
