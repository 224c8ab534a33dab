package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"
)

type visits struct {
	Role, Host, Name, Cert, Key, CA string
	Port, Count                     int
	Version                         uint16
}

// resume makes or takes several connections one after another, echoes or says a line on each, and prints
// "resumed true" or "resumed false" for each.
func resume(words string) {
	var v visits
	check(json.Unmarshal([]byte(words), &v))
	pem, err := os.ReadFile(v.CA)
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c := &tls.Config{
		MinVersion:         v.Version,
		MaxVersion:         v.Version,
		RootCAs:            pool,
		ServerName:         v.Name,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	if v.Role == "client" {
		for i := 0; i < v.Count; i++ {
			conn, err := net.Dial("tcp", fmt.Sprintf("%s:%d", v.Host, v.Port))
			check(err)
			visit(tls.Client(conn, c), true)
		}
		return
	}
	pair, err := tls.LoadX509KeyPair(v.Cert, v.Key)
	check(err)
	c.Certificates = []tls.Certificate{pair}
	listener, err := net.Listen("tcp", v.Host+":0")
	check(err)
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	for i := 0; i < v.Count; i++ {
		conn, err := listener.Accept()
		check(err)
		visit(tls.Server(conn, c), false)
	}
}

func visit(conn *tls.Conn, first bool) {
	check(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	check(conn.Handshake())
	if first {
		_, err := conn.Write([]byte("a line\n"))
		check(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	check(err)
	if !first {
		_, err := conn.Write([]byte(line))
		check(err)
	}
	fmt.Printf("resumed %v\n", conn.ConnectionState().DidResume)
	check(conn.Close())
}
