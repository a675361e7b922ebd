//go:build unix

package devservices

import (
	"context"
	"errors"
	"fmt"
	"io"
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
