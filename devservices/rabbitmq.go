package devservices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
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

// nodeConfig is what a broker, or a node of a cluster, runs with.
type nodeConfig struct {
	bin       string
	user      *account
	dir       string
	temporary bool
	signals   string
	name      string
	ports     [3]int // AMQP, Erlang's distribution, epmd
	epmd      string // own, or shared with other nodes
	settings  string // lines for rabbitmq.conf
}

func startNode(ctx context.Context, config nodeConfig) (*RabbitMQ, error) {
	env := []string{
		"RABBITMQ_NODENAME=" + config.name,
		fmt.Sprintf("RABBITMQ_NODE_PORT=%d", config.ports[0]),
		fmt.Sprintf("RABBITMQ_DIST_PORT=%d", config.ports[1]),
		fmt.Sprintf("ERL_EPMD_PORT=%d", config.ports[2]),
	}
	log := filepath.Join(config.dir, "devservices.log")
	if err := os.Truncate(log, 0); err != nil && !errors.Is(err, fs.ErrNotExist) { // what a start before this one has said
		return nil, err
	}
	dog, err := startWatchdog(watchdogConfig{
		dir:       config.dir,
		temporary: config.temporary,
		user:      config.user,
		signals:   config.signals,
		script:    rabbitMQScript,
		args:      append([]string{config.bin, config.epmd, config.settings}, env...),
	})
	if err != nil {
		return nil, err
	}
	if err := waitStarted(ctx, dog, log, config.ports[:]); err != nil {
		return nil, errors.Join(err, dog.stop())
	}
	password, err := os.ReadFile(filepath.Join(config.dir, "password"))
	if err != nil {
		return nil, errors.Join(err, dog.stop())
	}
	address := url.URL{
		Scheme: "amqp",
		User:   url.UserPassword("devservices", string(password)),
		Host:   net.JoinHostPort("127.0.0.1", strconv.Itoa(config.ports[0])),
		Path:   "/",
	}
	return &RabbitMQ{
		url:     address.String(),
		ctl:     filepath.Join(config.bin, "rabbitmqctl"),
		env:     append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + config.dir, "LC_ALL=C.UTF-8"}, env...),
		dir:     config.dir,
		user:    config.user,
		pidFile: filepath.Join(config.dir, "pid"),
		stopped: dog.done,
		close:   sync.OnceValue(dog.stop),
	}, nil
}

// rabbitMQScript runs under the watchdog, in the service's folder. epmd is started
// here because the one that Erlang starts by itself would go on after us. As under
// systemd the server's script makes way for the server, which then gets the signals.
const rabbitMQScript = `
bin=$1 epmd=$2 settings=$3
shift 3
export "$@" ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
	RABBITMQ_MNESIA_BASE="$dir/data" RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_LOGS=- RABBITMQ_PID_FILE="$dir/pid" \
	RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" RABBITMQ_GENERATED_CONFIG_DIR="$dir/data" RABBITMQ_CONF_ENV_FILE=/dev/null \
	RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins" RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
	RUNNING_UNDER_SYSTEMD=yes LC_ALL=C.UTF-8 PATH=$PATH:/usr/lib/erlang/bin
[ -s password ] || od -A n -t x1 -N 16 /dev/urandom | tr -d ' \n' >password
printf 'default_user = devservices\ndefault_pass = %s\ndisk_free_limit.absolute = 10MB\n%s' "$(cat password)" "$settings" >rabbitmq.conf
echo '[].' >enabled_plugins
if [ "$epmd" = own ]; then
	epmd 3<&- 4>&- &
	epmd=$!
fi
run "$bin/rabbitmq-server"
status=$?
if [ "$epmd" != shared ]; then
	kill -s KILL $epmd
	wait $epmd
fi
(exit $status)
`

// waitStarted waits for the broker's own word that it is complete.
func waitStarted(ctx context.Context, dog *watchdog, log string, ports []int) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-dog.done:
			for _, port := range ports {
				if isTaken(port) {
					return errPortTaken
				}
			}
			return fmt.Errorf("it stopped: %s", dog.lastWords())
		case <-tick.C:
		}
		content, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if strings.Contains(string(content), "Server startup complete") {
			return nil
		}
	}
}

func freePorts() (ports [3]int, err error) {
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return ports, err
		}
	}
	return ports, nil
}
