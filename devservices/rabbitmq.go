package devservices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// RabbitMQConfig says how a private RabbitMQ is set up. The zero value is a broker
// for throwaway tests.
type RabbitMQConfig struct {
	// Dir is the folder that holds the broker's data, password and log. It is
	// created when missing, kept by Close and used again by the next start; two
	// brokers cannot share it. A folder that holds something else is refused.
	// Defaults to a temporary folder, removed with the broker.
	Dir string

	// Log receives one line when the broker is up. Nil means silence.
	Log io.Writer
}

// RabbitMQ is a running private broker. Its methods are safe for concurrent use.
type RabbitMQ struct {
	url     string
	ctl     string
	env     []string
	dir     string
	user    *account
	pidFile string
	stopped <-chan struct{}
	close   func() error
}

// StartRabbitMQ starts a broker and returns when it accepts connections, after
// about 8 seconds. It has nothing in common with another one on this machine:
// ports, data, and the port mapper of Erlang (epmd) are its own. As root it runs
// as the user rabbitmq, or nobody.
//
// ctx bounds the start only; the broker runs until Close or the end of this
// process. The error is [ErrNotInstalled] when there is no RabbitMQ on this
// machine; that of a broker that does not come up carries the end of its log.
func StartRabbitMQ(ctx context.Context, config RabbitMQConfig) (*RabbitMQ, error) {
	bin, err := findRabbitMQ()
	if err != nil {
		return nil, err
	}
	user, err := serviceAccount("rabbitmq", "nobody")
	if err != nil {
		return nil, err
	}
	var broker *RabbitMQ
	for range 3 {
		var ports [3]int
		if ports, err = freePorts(); err != nil {
			break
		}
		broker, err = startRabbitMQ(ctx, config, bin, user, ports)
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start RabbitMQ from %s: %w", bin, err)
	}
	return broker, nil
}

// URL returns the connection URL of an administrator on the virtual host "/". It
// carries the broker's password, which only this user's processes can read.
func (r *RabbitMQ) URL() string { return r.url }

// Close stops the broker, cutting its connections, and removes temporary data. It
// returns when both are done. Further calls return what the first did.
func (r *RabbitMQ) Close() error { return r.close() }

// Kill ends the broker as a crash does. Started again with the same Dir, it has
// what it had forced to disk, that is every message that it had confirmed.
func (r *RabbitMQ) Kill() error {
	return errors.Join(r.signal(os.Kill), r.close())
}

// signal sends a signal to the broker, if it runs.
func (r *RabbitMQ) signal(signal os.Signal) error {
	select {
	case <-r.stopped: // the process id may be somebody else's by now
		return nil
	default:
	}
	content, err := os.ReadFile(r.pidFile)
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return process.Signal(signal)
}

// Control runs rabbitmqctl on the broker, such as Control(ctx,
// "close_all_connections", "test"), and returns what it says. It takes a second.
func (r *RabbitMQ) Control(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, r.ctl, args...)
	command.Dir = r.dir
	command.Env = r.env
	command.SysProcAttr = detached(r.user)
	output, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, lastLines(string(output), 5))
	}
	return string(output), nil
}

func startRabbitMQ(ctx context.Context, config RabbitMQConfig, bin string, user *account, ports [3]int) (*RabbitMQ, error) {
	dir, err := serviceFolder(ctx, "rabbitmq", config.Dir, user)
	if err != nil {
		return nil, err
	}
	signals := "TERM"
	if config.Dir == "" {
		signals = "KILL" // nothing to save
	}
	broker, err := startNode(ctx, nodeConfig{
		bin: bin, user: user, dir: dir, temporary: config.Dir == "", signals: signals,
		name: "rabbit@localhost", ports: ports, epmd: "own",
	})
	if err == nil && config.Log != nil {
		_, _ = fmt.Fprintf(config.Log, "started RabbitMQ (%s) on 127.0.0.1:%d, data in %s\n", bin, ports[0], dir)
	}
	return broker, err
}
