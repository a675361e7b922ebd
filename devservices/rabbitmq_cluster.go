//go:build unix

package devservices

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// RabbitMQClusterConfig says how a private cluster is set up. The zero value has
// three nodes.
type RabbitMQClusterConfig struct {
	// Nodes is how many there are. Defaults to 3.
	Nodes int

	// Log receives one line when the cluster is up. Nil means silence.
	Log io.Writer
}

// RabbitMQCluster is a running private cluster, for tests of what happens when its
// nodes fail. They are numbered from 0. Its methods are safe for concurrent use, but
// one at a time does something to nodes.
//
// A node that has lost the majority pauses (pause_minority): it drops its clients
// and takes no new ones until it is back.
type RabbitMQCluster struct {
	dir   string
	epmd  *watchdog
	close func() error

	mu    sync.Mutex
	nodes []*clusterNode
}

// clusterNode is a node and how to start it again.
type clusterNode struct {
	config nodeConfig
	broker *RabbitMQ // the last one
	up     bool
	frozen bool
}

// StartRabbitMQCluster starts a cluster and returns when all its nodes accept
// connections: on two cores after about 20 seconds, as the first one starts alone. It
// has nothing in common with another one on this machine: ports, names, cookie, data,
// password, and the port mapper of Erlang (epmd) are its own.
//
// ctx bounds the start only; the cluster runs until Close or the end of this process,
// and leaves nothing. The error is [ErrNotInstalled] when there is no RabbitMQ on this
// machine.
func StartRabbitMQCluster(ctx context.Context, config RabbitMQClusterConfig) (*RabbitMQCluster, error) {
	if config.Nodes < 0 {
		return nil, fmt.Errorf("devservices.RabbitMQClusterConfig: Nodes is %d", config.Nodes)
	}
	if config.Nodes == 0 {
		config.Nodes = 3
	}
	bin, err := findRabbitMQ()
	if err != nil {
		return nil, err
	}
	user, err := serviceAccount("rabbitmq", "nobody")
	if err != nil {
		return nil, err
	}
	var cluster *RabbitMQCluster
	for range 3 {
		if cluster, err = startCluster(ctx, config.Nodes, bin, user); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("start a RabbitMQ cluster from %s: %w", bin, err)
	}
	if config.Log != nil {
		_, _ = fmt.Fprintf(config.Log, "started a RabbitMQ cluster (%s) of %d nodes, data in %s\n", bin, config.Nodes, cluster.dir)
	}
	return cluster, nil
}

// URLs returns the connection URLs of the nodes, in their order, as [RabbitMQ.URL].
func (c *RabbitMQCluster) URLs() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, node := range c.nodes {
		all = append(all, node.broker.URL())
	}
	return all
}

// Control runs rabbitmqctl on a node, as [RabbitMQ.Control].
func (c *RabbitMQCluster) Control(ctx context.Context, n int, args ...string) (string, error) {
	c.mu.Lock()
	broker := c.nodes[n].broker
	c.mu.Unlock()
	return broker.Control(ctx, args...)
}

// Kill ends a node as a crash does. [RabbitMQCluster.Start] starts it again, with what
// it had forced to disk.
func (c *RabbitMQCluster) Kill(n int) error { return c.end(n, syscall.SIGKILL) }

// Stop stops a node as an operator does, and returns when it has stopped.
func (c *RabbitMQCluster) Stop(n int) error { return c.end(n, syscall.SIGTERM) }

// Start starts a node that was killed or stopped, and returns when it is back in the
// cluster, which needs the majority of the others.
func (c *RabbitMQCluster) Start(ctx context.Context, n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	node := c.nodes[n]
	if node.up {
		return fmt.Errorf("node %d runs", n)
	}
	broker, err := startNode(ctx, node.config)
	if err != nil {
		return fmt.Errorf("start node %d: %w", n, err)
	}
	node.broker, node.up = broker, true
	return nil
}

// Freeze makes a node stand still: its connections stay and nothing comes over them,
// as when a network drops all packets. The others notice after 10 seconds.
func (c *RabbitMQCluster) Freeze(n int) error { return c.freeze(n, true) }

// Thaw lets a frozen node go on. After more than 10 seconds the others take it for
// partitioned, and it may not come back by itself: then Kill and Start it.
func (c *RabbitMQCluster) Thaw(n int) error { return c.freeze(n, false) }

// Cut cuts a node off from the others, but not from its clients: it refuses them, and
// they it. It pauses, as it has lost the majority. It stays so until [RabbitMQCluster.Heal] or the node starts again.
func (c *RabbitMQCluster) Cut(ctx context.Context, n int) error {
	_, err := c.Control(ctx, n, "eval", fmt.Sprintf("[begin erlang:set_cookie(N, cut), erlang:disconnect_node(N) end || N <- [%s]].", c.others(n)))
	return err
}

// Heal undoes Cut. The node is back after a few seconds.
func (c *RabbitMQCluster) Heal(ctx context.Context, n int) error {
	_, err := c.Control(ctx, n, "eval", fmt.Sprintf("[begin erlang:set_cookie(N, erlang:get_cookie()), net_adm:ping(N) end || N <- [%s]].", c.others(n)))
	return err
}

// Close stops all nodes, cutting their connections, and removes their data. It returns
// when that is done. Further calls return what the first did.
func (c *RabbitMQCluster) Close() error { return c.close() }

func (c *RabbitMQCluster) others(n int) string {
	var names []string
	for i, node := range c.nodes {
		if i != n {
			names = append(names, node.config.name)
		}
	}
	return strings.Join(names, ", ")
}

func (c *RabbitMQCluster) end(n int, signal syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	node := c.nodes[n]
	if !node.up {
		return nil
	}
	if err := node.broker.signal(signal); err != nil {
		return fmt.Errorf("end node %d: %w", n, err)
	}
	if node.frozen && signal != syscall.SIGKILL {
		_ = node.broker.signal(syscall.SIGCONT)
	}
	<-node.broker.stopped
	node.up, node.frozen = false, false
	return node.broker.close()
}

func (c *RabbitMQCluster) freeze(n int, frozen bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	signal := syscall.SIGCONT
	if frozen {
		signal = syscall.SIGSTOP
	}
	c.nodes[n].frozen = frozen
	return c.nodes[n].broker.signal(signal)
}

// startCluster starts epmd, whose watchdog removes the folder in the end, then one
// node, and then the others, which join it.
func startCluster(ctx context.Context, n int, bin string, user *account) (*RabbitMQCluster, error) {
	dir, err := serviceFolder(ctx, "rabbitmq-cluster", "", user)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c := &RabbitMQCluster{dir: dir}
	c.epmd, err = startWatchdog(watchdogConfig{
		dir: dir, temporary: true, user: user, signals: "KILL", script: epmdScript, args: []string{fmt.Sprint(port)},
	})
	if err != nil {
		return nil, err
	}
	c.close = sync.OnceValue(c.stop)
	secrets := map[string]string{"password": secret(), ".erlang.cookie": secret()}
	for i := range n {
		node, err := c.newNode(ctx, i, n, port, bin, user, secrets)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.nodes = append(c.nodes, node)
	}
	if err := c.startAll(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

const epmdScript = `
export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$1 PATH=$PATH:/usr/lib/erlang/bin
run epmd
`

// secret returns what only this user's processes can read.
func secret() string { return rand.Text() }

// newNode makes the folder of a node.
func (c *RabbitMQCluster) newNode(ctx context.Context, i, n, epmd int, bin string, user *account, secrets map[string]string) (*clusterNode, error) {
	dir, err := serviceFolder(ctx, "rabbitmq", filepath.Join(c.dir, fmt.Sprint(i)), user)
	if err != nil {
		return nil, err
	}
	for name, value := range secrets {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(value), 0o400), user.own(path)); err != nil {
			return nil, err
		}
	}
	ports, err := freePorts()
	if err != nil {
		return nil, err
	}
	ports[2] = epmd
	settings := "cluster_partition_handling = pause_minority\nnet_ticktime = 10\ncluster_formation.peer_discovery_backend = classic_config\n"
	for peer := range n {
		settings += fmt.Sprintf("cluster_formation.classic_config.nodes.%d = %s\n", peer+1, nodeName(peer))
	}
	return &clusterNode{config: nodeConfig{
		bin: bin, user: user, dir: dir, signals: "KILL", name: nodeName(i), ports: ports, epmd: "shared", settings: settings,
	}}, nil
}

func nodeName(i int) string { return fmt.Sprintf("rabbit%d@localhost", i) }

// startAll starts the first node, and then the others at once.
func (c *RabbitMQCluster) startAll(ctx context.Context) error {
	if err := c.Start(ctx, 0); err != nil {
		return err
	}
	errs := make([]error, len(c.nodes))
	var starting sync.WaitGroup
	for i, node := range c.nodes[1:] {
		starting.Go(func() {
			node.broker, errs[i] = startNode(ctx, node.config)
			node.up = errs[i] == nil
		})
	}
	starting.Wait()
	return errors.Join(errs...)
}

func (c *RabbitMQCluster) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := make([]error, len(c.nodes))
	var ending sync.WaitGroup
	for i, node := range c.nodes {
		if node.up {
			ending.Go(func() { errs[i] = node.broker.close() })
		}
	}
	ending.Wait()
	return errors.Join(append(errs, c.epmd.stop())...)
}
