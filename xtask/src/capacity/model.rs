//! The model: how many nodes and shards a case needs, and what binds.

use super::inputs::Inputs;

/// More nodes than this are not looked for.
const MOST_NODES: u32 = 20_000;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) connections: f64,
    /// A second.
    pub(super) deliveries: f64,
    /// Subscribers of a channel, anywhere.
    pub(super) room: f64,
}

/// What a node uses of what it may use: 1 is all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loads {
    pub(super) cpu: f64,
    pub(super) memory: f64,
    pub(super) network: f64,
    pub(super) connections: f64,
    pub(super) storm: f64,
}

/// What it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// Without the spare one.
    pub(super) nodes: u32,
    pub(super) loads: Loads,
    /// Events published a second.
    pub(super) events: f64,
    /// Nodes that each of them goes to.
    pub(super) copies: f64,
    pub(super) shards: u32,
    pub(super) shards_bound_by: &'static str,
    /// Where every event has a history.
    pub(super) durable_shards: u32,
    /// To all clients, bits a second.
    pub(super) out: f64,
    /// From Redis to all nodes, bits a second.
    pub(super) relayed: f64,
}

impl Loads {
    fn rows(&self) -> [(&'static str, f64); 5] {
        [
            ("CPU", self.cpu),
            ("memory", self.memory),
            ("network", self.network),
            ("connections of a node", self.connections),
            ("return after a death", self.storm),
        ]
    }

    /// The fullest.
    pub(super) fn bottleneck(&self) -> (&'static str, f64) {
        self.rows().into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("five")
    }
}

/// The fewest nodes of which none is asked for more than it may give.
pub(super) fn answer(inputs: &Inputs, case: Case) -> Answer {
    let fits = |nodes: &u32| loads(inputs, case, f64::from(*nodes)).bottleneck().1 <= 1.0;
    // Not by halves: what a delivery costs grows as rooms are spread, so more nodes could in theory do worse.
    let nodes = (2..=MOST_NODES).find(fits).unwrap_or(MOST_NODES);
    let copies = copies(f64::from(nodes), case.room);
    let events = case.deliveries / case.room;
    let relayed = events * copies * relay_bits(inputs);
    let utilisation = inputs.get("assumed.utilisation");
    let cpu =
        |publish: f64| events * (publish + copies * inputs.get("redis.relay_cpu_us")) * 1e-6 / utilisation;
    let network = relayed / (inputs.get("assumed.node_network_gbit") * 1e9 * utilisation);
    let shards = |cpu: f64| cpu.max(network).ceil().max(1.0) as u32;
    let live = cpu(inputs.get("redis.publish_cpu_us"));
    Answer {
        nodes,
        loads: loads(inputs, case, f64::from(nodes)),
        events,
        copies,
        shards: shards(live),
        shards_bound_by: if network > live { "network" } else { "CPU" },
        durable_shards: shards(cpu(inputs.get("redis.durable_cpu_us"))),
        out: case.deliveries * client_bits(inputs),
        relayed,
    }
}

/// What each of so many nodes uses.
pub(super) fn loads(inputs: &Inputs, case: Case, nodes: f64) -> Loads {
    let (connections, utilisation) = (case.connections / nodes, inputs.get("assumed.utilisation"));
    let copies = copies(nodes, case.room);
    let cores = inputs.get("assumed.node_cores");
    let busy = case.deliveries / nodes * delivery_us(inputs, case.room / copies)
        + connections * inputs.get("connection.idle_cpu_us_s");
    let memory =
        connections * (inputs.get("connection.memory_bytes") + inputs.get("connection.kernel_bytes"));
    let gbit = inputs.get("assumed.node_network_gbit") * 1e9;
    // One of them dies, and its clients go to the others.
    let returning = connections / (nodes - 1.0).max(1.0) / inputs.get("assumed.return_s")
        * inputs.get("connection.connect_cpu_us");
    Loads {
        cpu: busy * 1e-6 / (cores * utilisation),
        memory: memory / (inputs.get("assumed.node_memory_gib") * (1u64 << 30) as f64 * utilisation),
        network: case.deliveries / nodes * client_bits(inputs) / (gbit * utilisation),
        connections: connections / inputs.get("assumed.node_connections"),
        storm: returning * 1e-6 / (cores * inputs.get("assumed.return_cores")),
    }
}

/// How many of `nodes` have a subscriber of a room, if its subscribers sit anywhere.
pub(super) fn copies(nodes: f64, room: f64) -> f64 {
    nodes * (1.0 - (1.0 - 1.0 / nodes).powf(room))
}

/// The CPU of one delivery where a node has so many subscribers of its channel.
pub(super) fn delivery_us(inputs: &Inputs, subscribers: f64) -> f64 {
    let points = &inputs.points;
    let above = points.iter().position(|point| point.subscribers >= subscribers);
    match above {
        Some(0) => points[0].cpu_us,
        None => points[points.len() - 1].cpu_us,
        Some(at) => {
            let (low, high) = (&points[at - 1], &points[at]);
            let part = (subscribers / low.subscribers).ln() / (high.subscribers / low.subscribers).ln();
            low.cpu_us + part * (high.cpu_us - low.cpu_us)
        }
    }
}

/// A delivery on the wire: a packet of its own.
pub(super) fn client_bits(inputs: &Inputs) -> f64 {
    8.0 * (inputs.get("wire.payload_bytes")
        + inputs.get("wire.frame_bytes")
        + inputs.get("wire.packet_bytes"))
}

/// An event on its way to a node.
pub(super) fn relay_bits(inputs: &Inputs) -> f64 {
    8.0 * (inputs.get("wire.payload_bytes") + inputs.get("wire.relay_bytes"))
}
