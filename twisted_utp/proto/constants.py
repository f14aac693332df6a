"""
The protocol's constants: where each comes from, and what changing it costs.

Times are microseconds unless a name says otherwise.
"""

from __future__ import annotations

# --- The wire (BEP-29) ----------------------------------------------------------------------------------------

VERSION = 1
HEADER_SIZE = 20

SEQ_MASK = 0xFFFF
TIMESTAMP_MASK = 0xFFFFFFFF

# libutp uses INT_MAX for "I have no sample yet"; treating it as a delay would be 35 minutes of queue.
NO_DELAY_SAMPLE = 0x7FFFFFFF

EXTENSION_SELECTIVE_ACK = 1
EXTENSION_BITS = 2
EXTENSION_CLOSE_REASON = 3
# Padding of MTU probes.  No stack knows it, and all that we know skip what they do not know.
EXTENSION_PADDING = 127

# libutp drops a packet whose *first* extension is 3 or more, so that is how it and we tell uTP from other
# protocols on the port; 3 is let in because libtorrent sends its close reason first.
MAX_FIRST_EXTENSION = 3

# Extensions in one packet; one with more is malformed.  The deployed stacks send three at the most (selective ack,
# extension bits, close reason), our MTU probes up to MAX_MTU_IPV4 seven (the bits, and 257 bytes of padding in each of
# six).  More lets a stranger's datagram cost more; probes of jumbo frames (9000 bytes) would need 36.
MAX_EXTENSIONS = 12

# Our mark in the eight extension bits: "twut", then sixteen reserved bits, then capabilities.  It tells us that
# the peer takes a wider span of packets and longer selective acks than the deployed stacks do.
EXTENSION_BITS_SIGNATURE = 0x74777574 << 32
EXTENSION_BITS_SIGNATURE_MASK = 0xFFFFFFFF << 32

# Next, length, and eight bytes.
EXTENSION_BITS_SIZE = 10

# An extension's length is one byte, and masks go out in multiples of four (ethereum/utp and nim reject others).
MAX_SACK_BYTES = 252
# Peers that are not ours never have more than ~1000 packets out of order, and 128 bytes say it all.
MAX_SACK_BYTES_FOREIGN = 128

# Gaps in what one selective ack newly names that are put to use.  The first answer after a burst with 5 % lost has
# three or so in 64 packets; masks repeat themselves, so what exceeds this comes with the next.  More lets a datagram
# cost more, fewer makes a path that loses every second packet slower to mend.
MAX_SACK_RUNS = 16

# --- Sizes ----------------------------------------------------------------------------------------------------

# libutp's own defaults (utp_utils.cpp): Ethernet less IP, UDP, and what PPPoE, GRE and Teredo take.
PREFERRED_MTU = 1402
# What every path carries: IPv4's and IPv6's smallest MTU less IP and UDP headers.
BASE_MTU_IPV4 = 548
BASE_MTU_IPV6 = 1232
# Ethernet's MTU less IP and UDP headers.
MAX_MTU_IPV4 = 1472
MAX_MTU_IPV6 = 1452
MIN_MTU = 150
MAX_UDP_PAYLOAD = 65507

# Path MTU search (RFC 8899 (5.1)): a size fails when so many probes of it are lost; the search ends when it is known
# to 16 bytes (libutp), and starts again after half an hour.
MAX_MTU_PROBES = 3
MTU_SEARCH_STOP = 16
# Hosts whose path a port remembers for that long: more would save a search each, for some 200 bytes apiece.
MAX_KNOWN_PATHS = 1024
MTU_RAISE_INTERVAL = 1_800_000_000
# Timeouts in a row after which large packets count as swallowed: more than most outages last.
BLACK_HOLE_TIMEOUTS = 3

# Packets in flight (span from the oldest unacknowledged).  libutp drops what is 1024 ahead, libtorrent 953.
# Ours to ours the limit is half the sequence space, less a margin for what is still in the network's queues.
MAX_SPAN_FOREIGN = 900
MAX_SPAN = 16_000

# What we hold ahead of a gap.  Bounded by bytes as well (the receive buffer); this bounds tiny packets.
MAX_REORDER = 16_384

# Pieces of what a paused reader does not take that are joined to one.  More let a peer that sends two bytes a packet
# hold more memory, fewer copy more.
JOINED_PIECES = 256

DEFAULT_RECEIVE_BUFFER = 4 * 1024 * 1024
# Ours (L{twisted_utp.proto.receive_budget}): bytes that a read finds when its owner is behind.  One that keeps up finds
# a train or two; less would take a burst for a crowd.
UNREAD_WHEN_BEHIND = 192 * 1024
# µs that the socket's room is shared after such a read; a crowd's reads vary.
BUDGET_PERSISTS = 1_000_000
# µs in which whoever receives anything counts: longer than a round trip over a socket that is full.
BUDGET_ROUND = 250_000
# Of the room; the rest is for headers, and for what leaves before a peer hears of its new share.
BUDGET_PERCENT = 75
# The least that a connection offers, bytes: an initial window (RFC 6928).  Less would make trains shorter, which cost a
# wake-up each, and first flights would come all the same.
MIN_SHARE = 16 * 1024
# Ours (L{twisted_utp.proto.receive_turns}): bytes of a turn at the least, a train of 44 full packets over Ethernet and
# not one packet more, which would be a train of its own; and trains at the most: more are hardly cheaper.
RECEIVE_TURN = 64_000
MAX_TURN_TRAINS = 3
# ... and bytes of one turn of each: a tenth of a second of what a process receives.  More makes all wait for longer.
RECEIVE_ROUND = 25_600_000
# µs in which nothing comes from those whose turn it is, after which nobody waits for them; and the longest round trip
# of those that take turns.  More lets a distant peer hold the room for as long as its path is.
TURN_PATIENCE = 5_000
DEFAULT_SEND_BUFFER = 256 * 1024
# 100 MB/s at 50 ms are 5 MB, and a quarter on top.  More lets a peer that takes all and acknowledges nothing hold more,
# less is a limit for faster or longer paths.
DEFAULT_MAX_IN_FLIGHT = 6 * 1024 * 1024

# Until the peer's first packet tells its window: libutp's guess is 255 packets; one initial window is all
# that we send before an answer anyway.
INITIAL_PEER_WINDOW = 65_536

# --- Handshake ------------------------------------------------------------------------------------------------

SYN_TIMEOUT = 1_000_000  # RFC 6298 (2.1); doubles
# Not longer: where half of all packets are lost, a connection should still come about within seconds.
MAX_SYN_TIMEOUT = 2_000_000
# A libutp acceptor silently drops a repeated SYN, so when its SYN-ACK was lost only a SYN with another id can
# succeed; nim drops packets with extension bits, so the late ones go without.
SYN_ATTEMPTS_WITH_FIRST_ID = 2

# Both sides of a punched hole send SYNs until one passes, so they go more often than to somebody who listens, and
# always with the same id.
PUNCH_INTERVAL = 500_000

# A FIN instead of a SYN-ACK: "not now".  libtorrent says so of a torrent that it is still loading (qBittorrent for
# about a second after one was added), so the connect tries again that often, and fails as refused when it has heard
# nothing else for so long.  Less fails where waiting helps; more keeps everybody else waiting for a plain "no".
REFUSAL_INTERVAL = 500_000
REFUSAL_TIMEOUT = 3_000_000

# How often an initiator shows a silent acceptor that it is there.
MAX_CONFIRMATIONS = 4

# An acceptor's connection whose peer was never heard of again.  Long enough for a peer that only listens.
UNCONFIRMED_TIMEOUT = 60_000_000

DEFAULT_CONNECT_TIMEOUT = 30.0
# Enough for a program that dials a few hundred times in one turn of its reactor: all its SYNs leave before the
# first packet that confirms one of them.
DEFAULT_BACKLOG = 1024
DEFAULT_MAX_CONNECTIONS = 16_384
# A quarter: one host (one /64 of IPv6) never takes all places.  Less would turn away those behind a provider's NAT.
DEFAULT_MAX_PER_HOST = 4096

# --- Retransmission (RFC 6298, RFC 8985) ----------------------------------------------------------------------

INITIAL_RTO = 1_000_000
MAX_RTO = 60_000_000
# RFC 6298's G: how late a reactor's timer, or its reading of an acknowledgement, may well be.
TIMER_GRANULARITY = 10_000
# BEP-29 says 500 ms, RFC 6298 one second, both for clocks that tick in tenths of a second.  Ours does not.
DEFAULT_MIN_RTO = 0.2
DEFAULT_USER_TIMEOUT = 30.0
# However long the user timeout, a peer is not gone before it failed to answer this many transmissions.
MIN_TRANSMISSIONS_BEFORE_GIVING_UP = 4

# libtorrent tells nobody that its window has opened again, so the probes must not become rare.
MAX_ZERO_WINDOW_RTO = 2_500_000
# So many questions after a closed window are left unanswered before one packet goes beyond it.  Each may be lost, or
# its answer; KTorrent resets a connection that goes beyond its window.  More: a stack that answers no old byte waits
# longer.
MAX_WINDOW_QUESTIONS = 4

DUPLICATE_ACK_THRESHOLD = 3
MIN_TAIL_LOSS_PROBE = 10_000  # RFC 8985 (7.2) leaves it to us: below it the reactor's own latency would fire it
MAX_REORDER_MULTIPLIER = 20
REORDER_WINDOW_PERSISTS_ROUNDS = 16  # RFC 8985 (6.2.4)

# A valid ack_nr may lag this much behind the oldest packet in flight (libutp: keepalives carry ack_nr - 1).
ACK_NR_ALLOWED_LAG = 3

# --- Acknowledgements and small writes ------------------------------------------------------------------------

# While packets are missing and nothing comes, the acknowledgement is repeated after so many µs, then after twice and
# four times as many.  More would free no more senders, and be more for one packet that somebody forges.
GAP_REMINDER = 1_000_000
MAX_GAP_REMINDERS = 3
# A window that reopens by this much is worth an acknowledgement of its own.
WINDOW_UPDATE_PACKETS = 2
# Packets of a stream that are acknowledged together where they are read one by one (RFC 1122 (4.2.3.2), RFC 9000
# (13.2.2)).  More would spare the sender more wake-ups, but not the receiver's; and a foreign sender's window is a few
# packets at times.
ACK_PACKETS = 2
# µs.  Ours: for so long at most the first one waits, and a pause of that length ends a stream.  So slow lines, below 12
# Mb/s, have every packet acknowledged: it costs little there, and with half of its samples a scavenger behind CoDel did
# not notice CUBIC (8 Mb/s: it held 39 % of the rate, not 10).  RFC 9000 has 25 ms.
ACK_DELAY = 1_000
# Packets after a gap that are acknowledged one by one.  Where one in a hundred is lost, that is all of them.
ACK_GAP_PACKETS = 256
# Packets without a pause, and payload bytes of each, that make it a stream.  Fewer would be slow start's first rounds.
ACK_STREAM_PACKETS = 64
ACK_FULL_PACKET = 480
# Small packets that may be unacknowledged before further small writes are gathered.  One (Minshall) makes a
# second keystroke wait a round trip; without a limit a chatty application sends a packet a write.
MAX_SMALL_IN_FLIGHT = 2

DEFAULT_KEEPALIVE = 29.0  # libutp's measurement of how long NATs keep a UDP mapping
# A keepalive leaves earlier by up to this share of the interval, so that those of many connections leave (and arrive)
# together: ten thousand idle connections wake a process once a second instead of 345 times.
KEEPALIVE_SHARE = 32
# The acceptor waits for so many of these shares longer, because the initiator's keepalive and our answer to it do for
# both.  More lets the mapping of a NAT before the acceptor get older where the initiator's is switched off.
ACCEPTOR_KEEPALIVE_SHARES = 2
# A keepalive that is not answered is repeated so often within the user timeout; less often where round trips take
# longer, and more often where its interval is shorter than these.  Fewer let bursts of loss pass for a dead peer: with
# 30 % lost each way, ten fail once in a thousand times.
KEEPALIVES_UNANSWERED = 10
# One that came back, because the peer's port is closed, counts as so many that were not answered, and the next one
# follows after this time.  So four of them end a connection, which is MIN_TRANSMISSIONS_BEFORE_GIVING_UP: fewer would
# believe a host that is only starting its program again.  Faster ones are not answered: hosts send one such message a
# second (RFC 4443 (2.4) (f), Linux's icmp_ratelimit).
KEEPALIVE_RETURNED_COUNTS = 3
KEEPALIVE_RETURNED_WAIT = 1_000_000

# --- Congestion control ---------------------------------------------------------------------------------------

# Ours: window cuts that a receiver's word takes back at once, and µs until there is another.  More pays for liars who
# say that nothing was lost (tests/scenarios/test_liars.py); less costs window on paths that pause often.
MAX_UNDONE_CUTS = 3
UNDONE_CUT_INTERVAL = 10_000_000
# ... and none where round trips have grown by so many µs: half of LEDBAT++'s target.
MAX_QUEUE_WITHOUT_LOSS = 30_000
DEFAULT_TARGET_DELAY = 0.1  # BEP-29 and RFC 6817: 100 ms at the most
MAX_CWND_INCREASE_PER_RTT = 3000  # BEP-29: bytes
# RFC 6928, where RFC 6817 INIT_CWND has 2.  The first packets are small (BASE_MTU_IPV4) and paced over half a round
# trip.  Two would cost every transfer two round trips more, and 20 MB over 50 ms 0.74 s instead of 0.63; more would
# overflow the shortest buffers before anything is known of them.
INITIAL_WINDOW_PACKETS = 10
MIN_WINDOW_PACKETS = 2  # RFC 6817 MIN_CWND
SLOW_START_EXIT = 0.75  # of the target delay
BASE_HISTORY_BUCKETS = 13  # minutes; libutp's number, RFC 6817 says at least 10
BASE_HISTORY_BUCKET = 60_000_000
CURRENT_DELAY_FILTER = 4  # samples, RFC 6817 CURRENT_FILTER
MAX_DRIFT_CORRECTION = 10_000  # libutp: larger steps are not drift
# Growth of the round trip up to which the peer's echoes are believed, if half of the target is not less.  Jitter, late
# timers and delayed acknowledgements stay below; a liar gains nothing, as the queue is short of the target.
MAX_UNEXPLAINED_DELAY = 25_000
# The longest queue on the way back that is believed.  Home uplinks hold as much; and who delays his acknowledgements
# when we step back, so that there seems to be one, can make us queue no more than this.
MAX_REVERSE_QUEUE = 500_000
# Packets in flight with which a flow is out of the way: LEDBAT++'s slowdowns have two.
QUIET_PACKETS = 2
# libutp: a peer whose clock seems to run slow by more than 200 ms in 5 s is lying for bandwidth, and each sample
# gets a seventh of the excess on top.  A shorter window with the same slope notices it sooner.
DRIFT_WINDOW = 2_000_000
MAX_HONEST_DRIFT = 80_000
DRIFT_PENALTY_DIVISOR = 7

# A queue no longer than this is none: pacing's bursts, a switch, a late timer.  CoDel tolerates 5 ms, so a loss that a
# queue caused has more than this to show.  Larger would take shallow buffers' losses for the radio's, smaller the
# radio's for congestion's.
NO_QUEUE = 3_000
CUT_WITHOUT_QUEUE = 0.8  # TCP Veno's; RFC 6817's half where a queue was seen
# More of a flight than this lost at once is an overflow even where no queue is seen, on paths too short to see one.
# Random loss of 5 % hardly ever takes as much; with a half, a peer's full socket buffer passed for a noisy radio.
OVERFLOW_SHARE = 0.125
OVERFLOW_PACKETS = 8  # at least, since an eighth of a small window is a packet or two
# Round trips without a standing queue after which the window may grow exponentially beyond what it ever was.  Fewer
# would take the place of a LEDBAT++ flow that only steps back for a moment (about four round trips).
EMPTY_ROUNDS_TO_EXPLORE = 5
# Each drop below the target doubles that wait, up to so many times, until the target is restored.
MAX_EXPLORING_BACKOFF = 16
EXPLORING_GAIN = 0.25  # of slow start's growth; doubling there overflows a buffer that holds less than one window
# Where a buffer overflows below the target, half of what it held becomes the target; it doubles again in this time.
# Shorter probes (and loses) more often, longer stays low after a single mishap.
TARGET_RECOVERY_TIME = 30_000_000
MIN_EFFECTIVE_TARGET = 2_500  # half of CoDel's target

# draft-irtf-iccrg-ledbat-plus-plus
LEDBATPP_TARGET_DELAY = 60_000
LEDBATPP_MAX_GAIN_DIVISOR = 16
SLOWDOWN_ROUNDS = 2  # both the time before the first one and its length
SLOWDOWN_INTERVAL = 9  # times the duration of the last one: a tenth of the time at most
# Ours: a flow that was alone in its slowdowns has them ever more rarely, up to so many times.  More would make a
# latecomer wait longer for the first one.
MAX_SLOWDOWN_BACKOFF = 4

# Ours: round trips between two steps back while the peer says that what drives us away is on the way back.  Fewer take
# more of the rate where that is not so, more make an honest peer wait.
DOUBT_INTERVAL = 20

# --- scavenger (docs/scavenger.rst).  Its figures are ours, found with the scenarios of twisted_utp.testing.

# The least target.  Less loses a link whose packets come in bursts (a burst is two packets), more is felt by others.
SCAVENGER_MIN_TARGET = 5_000
# The largest, however much a path varies; LEDBAT++'s.
SCAVENGER_MAX_TARGET = 60_000
# A queue up to this is none; half of the target if that is more, up to the second.  Larger returns beside others,
# smaller waits for pacing's own bursts.
SCAVENGER_EMPTY = 2_000
SCAVENGER_MAX_EMPTY = 10_000
# Growth of the queue beyond our own that is an alarm, and the height above the target that is.  Less takes noise for
# others, more lets others queue behind us for longer.
SCAVENGER_JUMP = 4_000
SCAVENGER_LEVEL = 10_000
# Times the variation of the standing queue that the target and the alarms allow for.  More has longer queues on radio
# links, less uses less of them: with three, and twice the patience, 92 % of LTE were used with a p95 of 62 ms, with
# five 95 % and 96 ms, with eight 96 % and 106 ms (LEDBAT++: 95 % and 105 ms); of four 3G traces 86 % with five, and
# with eight 88 % (LEDBAT++: 90 %), before the other rules for radio links.  The second is for what exceeds
# SCAVENGER_BLIND_VARIATION; as many below it would hide who comes soon after another has gone.
SCAVENGER_VARIATIONS = 5.0
SCAVENGER_RADIO_VARIATIONS = 8.0
SCAVENGER_MAX_VARIATION = 60_000
# False alarms: from the first on alarms come less easily, up to so much; with the second, a drain takes their place.
# A minute forgets them.
SCAVENGER_MAX_SUSPICION = 8.0
SCAVENGER_BLIND_SUSPICION = 5.0
SCAVENGER_TRUSTED_SUSPICION = 1.4
SCAVENGER_SUSPICION_MEMORY = 60_000_000
# While alarms are distrusted by this much (after two false ones within seconds), a queue is not taken for others' in
# its first round trip if the second constant's part of what the path carries is ours.  Pauses of 4 to 12 ms, three
# times a second, then cost 8 % of a line of 20 Mb/s; without this rule 11 %, and 5 % if one false alarm were enough.
# But who begins has less than a tenth of the line in its first round trips: if one were enough, chunks of a video took
# 1.5 times as long beside us after it, and 1.04 times with two.
SCAVENGER_PAUSE_SUSPICION = 1.8
SCAVENGER_WHOLE = 0.9
# A standing queue that varies so much does so by itself: alarms are checked by a drain first.  When a return fails at a
# queue longer than the second, it is somebody else's all the same.
SCAVENGER_BLIND_VARIATION = 3_000
SCAVENGER_CERTAIN = 300_000
# A radio's queue also varies by more than so many packets' times.  Without that, a line of 1 Mb/s or less passes for a
# radio, whose window grows by packets, and a packet more waits there.  With one, a 3G trace with deep fades was used by
# 4 points less.
SCAVENGER_RADIO_PACKETS = 0.5
# On paths with this round trip and longer ones, the first changes of the queue count for no more than later ones, as
# they are startup's.  With more µs, a cable of 350 ms passed for a radio link, and 71 % of it were used; with fewer,
# slow radio links are known as such later.
SCAVENGER_SETTLED_PATH = 150_000
# The part of the target that is left after drops in a shallow buffer.
SCAVENGER_MIN_DEPTH = 0.25
# Drops at a small queue, while we have the link to ourselves, from which on the router counts as one that drops early;
# half of them are forgotten in the second.  There we stay away for so many quiet round trips after an alarm, in which
# CUBIC grows back.  Fewer take what it has just lost, more leave links unused after false alarms.
SCAVENGER_EARLY_DROPS = 1.5  # the second, unless it comes long after the first
SCAVENGER_MOST_EARLY_DROPS = 5.0  # and at least as many below none, where losses are random
SCAVENGER_EARLY_LEAST = 4_000  # µs of queue: CoDel drops from 5 ms on, less a small packet's time
SCAVENGER_EARLY_MEMORY = 300_000_000
SCAVENGER_EARLY_QUIET_TRIPS = 40
# A packet that waits for less than this part of a packet's time waits for nobody, and so many of these in a row prove
# that the link is idle.  If others use half of it that is chance once in two thousand times; more take longer.
SCAVENGER_IDLE_PART = 0.25
SCAVENGER_IDLE_SAMPLES = 16
SCAVENGER_IDLE_SPREAD = 5  # at most so many of them in a round trip
# A standing queue is the least of so many µs, or of the eighth part of a round trip, or of so many samples.  Fewer
# samples take a burst for a queue, more notice it later.
SCAVENGER_LOOK_BACK = 5_000
SCAVENGER_SAMPLES = 4
# An acknowledgement of so many packets, and twice the usual, is late.  A receiver that reads in batches acknowledges
# some ten at 20 Mb/s; less would take its first batches for late ones.  What a late one lets out is told from others'
# queue for so many round trips: fewer take its echo for somebody, more notice somebody later.
SCAVENGER_LATE_PACKETS = 16
SCAVENGER_LATE_TRIPS = 4
# Scattering of samples by which more of them are looked at.
SCAVENGER_NOISY = 500
# How long the largest rate of the path is remembered.
SCAVENGER_PEAK_MEMORY = 60_000_000
# Growth: a packet a round trip at this window, and with the root of it; at least so much.  More has longer queues, less
# takes longer to share a link.
SCAVENGER_GAIN_WINDOW = 32
SCAVENGER_MIN_GAIN = 0.25
# ... and at least so much on a radio link, whose rate may rise; LEDBAT++ grows by as much.  Twice the usual growth made
# the queue of LTE 8 to 15 ms longer (p95), the usual one used half a point to a point less of 3G.
SCAVENGER_RADIO_MIN_GAIN = 1.5
# Part of the excess above the target by which the window shrinks in a round trip; the second on a radio link, which may
# have become slower.  With the first, packets waited for 13 ms longer on LTE and 20 to 70 on 3G (p95), for half a point
# more of 3G.  A larger part reacts to each turn of the radio's scheduler.
SCAVENGER_DECREASE = 0.5
SCAVENGER_RADIO_DECREASE = 0.8
# Round trips without a queue after which the window grows by a part of itself; half as many where the queue varies by
# itself, three times as many in a second after a loss with a queue.
SCAVENGER_EXPLORING_ROUNDS = 4
SCAVENGER_FILLED = 0.7  # ... if at least this part of the window comes through in a round trip
SCAVENGER_LOSS_MEMORY = 1_000_000
# µs of the link's rate by which it grows in a round trip at most, near the rate that we know; or the target.  More
# makes a longer queue where round trips are long, less finds a faster link later.
SCAVENGER_EXPLORED = 10_000
# A loss with a small queue costs so much (CUBIC's 0.7), and half when less than this part of the link's rate comes
# through.
SCAVENGER_LOSS_CUT = 0.7
SCAVENGER_UNDIVIDED = 0.85
# Drains of a flow that is alone; others' come as often as LEDBAT++'s slowdowns.
SCAVENGER_DRAIN_INTERVAL = 10_000_000
SCAVENGER_FIRST_DRAIN_ROUNDS = 3
# µs of the link's rate by which the window is reduced at most, or two targets.  More empties the link for longer where
# round trips are long (half a window of 350 ms costs 2 % of the link), less leaves a part of the queue.
SCAVENGER_DRAIN_DEPTH = 30_000
# From this round trip on the first drain measures the link.  A latecomer's overshoot has more than its share, so with
# less, two flows on 4 Mb/s and 50 ms shared less equally.
SCAVENGER_LONG_PATH = 100_000
# Out of the way: part of the known rate, and at least a packet in so many µs.  More is felt by others, less sees less.
SCAVENGER_TRICKLE_SHARE = 0.02
SCAVENGER_TRICKLE_INTERVAL = 200_000
# The link is free when it was quiet for so long; longer, up to the second, when that was wrong within the third.
SCAVENGER_QUIET = 200_000
SCAVENGER_LONGEST_QUIET = 500_000
SCAVENGER_QUIET_TRIPS = 10  # ... or so many round trips: BBR makes a queue in one of eight
SCAVENGER_SOON = 2_000_000
# After so long without quiet the path is tried; twice as long each time while the queue is deep.
SCAVENGER_PROBE_INTERVAL = 2_000_000
SCAVENGER_MAX_PROBE_INTERVAL = 16_000_000
SCAVENGER_DEEP = 20_000
# Who keeps a queue that reaches the first for so long fills the buffer.  When it has gone, we are no guest: that is for
# flows that leave the link empty now and then.  After CUBIC, a guest takes a second or two longer to fill the link.
SCAVENGER_FILLER_QUEUE = 60_000
SCAVENGER_FILLER_TIME = 4_000_000
# A queue that changes by no more than this in so many µs is a longer route rather than anybody's.
SCAVENGER_FLAT = 1_500
SCAVENGER_FLAT_TIME = 600_000
# Who keeps the same queue, up to the first, for the second, is LEDBAT or libutp: take up to the third, of the link's
# rate, in so many round trips, as long as the queue grows by no more than the last (a third of BEP-29's target).  More
# starves it, or wakes others up; less starves us.
SCAVENGER_COMPANION_QUEUE = 130_000
SCAVENGER_COMPANION_TIME = 5_000_000
SCAVENGER_COMPANION_SETTLES = 2_000_000
SCAVENGER_COMPANION_SHARE = 0.3
SCAVENGER_COMPANION_TRIPS = 50
SCAVENGER_COMPANION_FALL = 24_000  # who lets the queue fall by so much does not keep it
SCAVENGER_COMPANION_GROWTH = 35_000
# A small queue that nobody has seen go away for so long is a longer route or the queue of a flow that never steps back:
# load tells.  Less loads links that several of our kind share, more leaves links unused.
SCAVENGER_LASTING_TIME = 3_000_000
# The link's rate, as our own bursts show it, is believed up to so many times what came through.
SCAVENGER_BELIEVED_RATE = 8
# Beside one of our kind we begin with this part of what we had.
SCAVENGER_SHARED_WINDOW = 0.125
# Whoever has less than this part of what the link carries shares it with other scavengers, and allows them the second.
SCAVENGER_KIN_SHARE = 0.7
SCAVENGER_KIN_QUEUE = 5_000
# A guest that has seen a small queue for so long without a break is beside its own kind.  CUBIC behind CoDel empties
# the queue with each drop, which at 20 Mb/s and 50 ms is every four seconds.
SCAVENGER_SHARED_TIME = 4_000_000
# The first and the last part of the known rate in a return; it doubles in between.
SCAVENGER_FIRST_GEAR = 0.25
SCAVENGER_FULL_GEAR = 0.95
# Where the link turned out not to be free, the first part is smaller, so that a queue shows before it is long.
SCAVENGER_GUEST_GEAR = 0.03125
# A guest's window grows by this in each round trip when nobody made a queue for long; who has so much of the link's
# rate is no guest any more.
SCAVENGER_GUEST_GROWTH = 0.1
SCAVENGER_HOST_SHARE = 0.9
# Round trips less echoes up to this are late timers' and jitter's; a liar hides no more.
SCAVENGER_UNEXPLAINED = 2_000
# A lie that is larger by this counts at once, a smaller one when it has lasted for so many round trips.  If every one
# counts at once, a peer that reads in batches seems to lie for a round trip each second or two, and the queue to jump:
# two scavengers left each other the link.  If all must last, a peer that makes up its echoes has a longer queue.
SCAVENGER_LARGE_LIE = 8_000
SCAVENGER_LIE_TRIPS = 3
# A connection is one of many with a near host, if the others together get more than so many times as much as it does.
# More takes the lateness of busy processes for others' queues, less gives a few connections of one program a queue as
# long as LEDBAT++'s.
SCAVENGER_CROWD = 6
# ... and if all of them have so many bytes per µs (50 Mb/s).  What is slower keeps no process busy, so the queue is a
# router's: on 20 Mb/s of Wi-Fi eight connections added 72 ms to a call.
SCAVENGER_CROWD_RATE = 6.25
# Absences of which the least of the way back's queues is believed.  More believes an honest peer with a busy way back
# less, fewer a liar in whose absence another's queue stood more.
SCAVENGER_REVERSE_QUEUE_MEMORY = 2

# RFC 9438 (4.6), (4.1)
CUBIC_BETA = 0.7
CUBIC_C = 0.4
# RFC 9406 (4.3)
HYSTART_MIN_DELAY = 4_000
HYSTART_MAX_DELAY = 16_000
HYSTART_ROUNDS = 5

PACING_GAIN = 1.25
PACING_GAIN_SLOW_START = 2.0
# A train carries at most this much of the pacing rate in slow start, and on paths too short for more.
PACING_BURST = 1_000
# µs over which it is counted what other connections with the same host send.
PACING_COUNT = 10_000
# Ours: a receiver that moderates its reading (HOLD_PACKETS and those that follow it) acknowledges a batch at a time.
# What that releases leaves as one train, and some more, lest each batch be spread by timers again: a burst of exactly a
# batch made twice the wake-ups.  Where acknowledgements come one by one it is never used.
PACING_PACKETS = 12
PACING_STEADY = 6_000
PACING_STEADY_PACKETS = 96
PACING_MAX = 8_000
PACING_RTT_SHARE = 12
# ... or this part (1 / 3), while acknowledgements come in batches: more than a hold gathers (HOLD_LOSSY_SHARE).
PACING_BATCHES_SHARE = 3
# While acknowledgements come in batches, bursts are longer than what a hold acknowledges; and a queue that stands
# anyhow hides more: up to half of it, and 25 ms.  Where they come one by one, longer bursts gave a latecomer 61 % of
# 2 Mb/s.
PACING_BATCHES = 20_000
PACING_QUEUE_SHARE = 2
PACING_QUEUE_MAX = 25_000
# Of what a burst takes on the line, a filter that takes the least of CURRENT_DELAY_FILTER samples does not see so much;
# and the part (1 / 8) of the target that it may be at most.  Without it a ping's 95th percentile grows with the bursts.
BURST_UNSEEN = 0.75
MAX_BURST_SHARE = 8
# Ours: so long after a loss bursts are as short as in slow start.  Behind CoDel (10 Mb/s, 50 ms) long ones cost ledbat
# two points of the link.  After a loss by chance they stay long for as long, even while the window returns by slow
# start: there, short bursts are only a wake-up for each packet or two.
PACING_CALM = 10_000_000
# Ours, see L{twisted_utp.proto.chance}: a queue (µs), and packets missing in a row, up to which a loss is taken for
# chance.  With more of either, long bursts overflow short queues (100 Mb/s, 20 ms, a buffer of 2 ms: a fifth of the
# rate was lost); with less, jitter passes for a queue, and two that chance took for an overflow.
CHANCE_QUEUE = 1_500
CHANCE_IN_A_ROW = 2
# Ours: who is always woken late sends as much more at a time, up to this part of a round trip (1 / 4).  Less makes a
# busy process, with hundreds of connections, fall behind its windows; more lets windows out in fewer, longer bursts.
MAX_LATE_SHARE = 4
MIN_BURST_PACKETS = 2
# Below it a window lasts no longer than a reactor's timer is late, so there is nothing to spread; and on a busy
# machine each paced burst costs a wake-up at both ends (100 connections over loopback: 39 MB/s paced, 700 not).
MIN_PACED_RTT = 2_000

# Ours, and µs: for how long what arrives may wait in the socket (L{twisted_utp.proto.moderation}).  As long as
# HOLD_PACKETS take, but at least HOLD_STEADY; and up to HOLD_LONG while that is no more than HOLD_LONG_PACKETS.  Longer
# saves more wake-ups, and acknowledgements let out longer bursts.  Those of more than 64 packets empty a sender's
# buffer, and the short packet at its end stops the waiting.
HOLD_PACKETS = 8
HOLD_STEADY = 8_000
HOLD_LONG = 16_000
HOLD_LONG_PACKETS = 32
# At most this, and this part (1 / 12) of a round trip.  More is felt by who shares the line; less gathers nothing at
# 4 Mb/s, which has a packet each 3 ms.
HOLD_MAX = 8_000
HOLD_RTT_SHARE = 12
# Or this part (1 / 3) of what round trips have grown by, so that it is hidden in the queue that stands anyhow, and at
# most this: seven packets at 4 Mb/s.  With 1 / 2 and 30 ms, a ping's 95th percentile was 9 ms longer there.
HOLD_QUEUE_SHARE = 3
HOLD_QUEUE_MAX = 20_000
# While there are connections on the port that stream nothing: one of them may ask something, and waits for that long.
HOLD_BESIDE = 3_000
# Within this time the shortest round trip is forgotten, as paths change.
HOLD_MEMORY = 60_000_000
# Below this a timer costs more than it saves; reactors wake up at whole milliseconds.
HOLD_MIN = 500
# Packets that have to be expected meanwhile.  Of acknowledgements more: a peer that reads in batches sends few, each
# of which lets out a train; several of these at once would be a longer burst, and empty the send buffer.
HOLD_WORTH = 1.5
HOLD_WORTH_STATES = 4.0
# Where packets come closer than this (150 Mb/s), a process finds a dozen of them in each read without waiting, and has
# no time to give away: at 300 Mb/s holding cost 3 % of the rate.
HOLD_MIN_INTERVAL = 80
# DATA packets of a connection, all as long, that make it a stream; and the pause that ends one, in round trips.  Fewer
# packets take an answer of some kilobytes for one; a shorter pause none of 50 connections that share a line.  Answers
# that follow one another are told by their ends: their last packets are shorter.  So many connections are watched at
# most; more are forgotten.
HOLD_STREAM_PACKETS = 64
HOLD_STREAM_PAUSE = 2
HOLD_STREAMS = 256
# Bytes; what is shorter ends somebody's message.
HOLD_FULL_PACKET = 500
# After anything that is no stream.  Shorter lets a question wait that follows an answer; longer costs a port on which
# somebody talks now and then as much as if nothing ever waited.
HOLD_QUIET = 1_000_000
# After a packet of what may become a stream, or is an answer.
HOLD_YOUNG_QUIET = 250_000
# Round trips after a gap for which nothing waits if a queue overflows.
HOLD_GAP_ROUNDS = 4
# Where packets are lost by chance the window is small, and reads may wait for this part (1 / 4) of the round trip.  In
# virtual time (20 ms, 1 % lost) that makes a twelfth of the wake-ups, and the rate is the same; 1 / 12 makes a third.
HOLD_LOSSY_SHARE = 4
# Packets that have to be expected meanwhile, then.  With fewer the window is so small that waiting costs rate: with 3,
# cubic lost a fifth of 1 MB/s.
HOLD_LOSSY_WORTH = 6.0
# Silence after which everything begins anew.
HOLD_PAUSE = 100_000
# More packets in a round trip than in the one before, by this: slow start, whose acknowledgements must not wait.
HOLD_GROWTH = 1.25

# µs.  Ours: how often at least an acknowledgement is put to full use (round trip, delay, window) while single packets
# go to and fro.  Longer makes the estimates of paths below this older: what matters for the next window is then up to
# that old.  Shorter costs such paths rate: a full use takes as long as five to ten single turns, so with 5 ms a tenth
# of a loopback's round trips was lost.
SAMPLE_INTERVAL = 20_000

# --- Rates that somebody has set ------------------------------------------------------------------------------

# What a limit lets go at once, in µs of its rate: what comes in while a timer is late.  Less loses rate in a busy
# process; a fiftieth of a second is what any second may have too much.
RATE_BURST = 18_000
# ... and packets, at the least: below 1.1 MB/s a packet is more than a millisecond's worth.  Less than one would let
# none go; one alone loses what comes in while it waits for a late timer.
RATE_BURST_PACKETS = 1.5
# µs of a limit's rate that are worth a wake-up, or an acknowledgement that opens a window, where that is more than a
# packet (and less than a train).  Shorter wakes more often, longer makes bursts that short queues drop.
RATE_QUANTUM = 5_000
# ... and the most, for windows over long round trips, of which a twelfth is enough.  It must be less than RATE_BURST.
MAX_RATE_QUANTUM = 15_000
# So many connections are served at a wake-up of those that share a limit.  More makes trains of one packet, fewer
# lets each wait longer for its turn.
RATE_TURNS = 8
# What was sent beyond a limit is made up for, but no more than this, µs of the rate: a limit that somebody sets on a
# running transfer must not stop it for long.
MAX_RATE_DEBT = 1_000_000
# The smallest window that a limit ever shows, bytes: the payload of the largest packet that deployed stacks send.
# libutp never fills one that is smaller than its packet.
WHOLE_PACKET = MAX_MTU_IPV4 - HEADER_SIZE
# The round trip, µs, where nothing tells it: from a peer that echoes no timestamp, to a side that sends nothing.
DEFAULT_RATE_RTT = 200_000
# Acknowledgements that only open the window, while it is open, in a row: libtorrent takes three of one packet for a
# loss.  Fewer makes more bursts of a round trip's data, which these spread over it.
MAX_WINDOW_UPDATES = 2
# An acknowledgement that has opened a closed window may be lost, and libtorrent does not ask: it is repeated after so
# many µs, then after twice and four times as many, unless something comes.
WINDOW_REMINDER = 1_000_000
MAX_WINDOW_REMINDERS = 3
# The highest rate that can be set, bytes a second: beyond any network card's.
MAX_RATE = 100_000_000_000

# --- Trains ---------------------------------------------------------------------------------------------------

# Linux refuses more segments than this in one UDP_SEGMENT send (128 on kernels since 6.9; 64 works on all).
MAX_TRAIN_SEGMENTS = 64
MAX_TRAIN_BYTES = 65_000

# --- Closing --------------------------------------------------------------------------------------------------

# How long an ended connection still answers a peer whose last packet was repeated, in RTOs and at the least:
# libutp's shortest RTO is a second.
LINGER_RTOS = 3
MIN_LINGER = 3_000_000
MAX_LINGER = 10_000_000
# Our FIN has left so often without an acknowledgement when the user hears that all is done, provided that everything
# else was acknowledged: once, and once more as a probe or after a timeout, so within some round trips.  Once would tell
# a program that may then exit before the FIN has certainly arrived; more make it wait for peers that never acknowledge
# a FIN (KTorrent).  The FIN is repeated for as long as anything else would be.
FIN_TRANSMISSIONS_BEFORE_DONE = 2
# A peer that never sends its FIN after we closed both directions.
FIN_WAIT_TIMEOUT = 5_000_000

# --- Abuse ----------------------------------------------------------------------------------------------------

# A round trip that a peer's echo of our timestamp may take and still prove that it reads our packets.  Longer makes
# guessing easier (once in 2^32 / 8 s = 537 packets), shorter leaves paths with much longer queues to stricter limits.
MAX_ECHO_AGE = 8_000_000
# A peer's clock that runs fast makes the echo of a packet that it kept for long come too early: 500 ppm over the
# keepalives' half minute and more.
MAX_ECHO_EARLY = 250_000
# By how much timestamp_difference may differ between two STATEs of a batch of which the later makes the earlier one
# needless.  With the seq_nr that they share a stranger's does so once in 2^31.  Less looks at more STATEs while a queue
# grows.
MAX_ECHO_SPREAD = 1 << 17
# As MAX_ECHO_AGE, for a RESET, which ends a connection: once in 4295.
MAX_RESET_ECHO_AGE = 1_000_000
# Fresh echoes in a row after which a peer counts as one that reads; by chance, with independent guesses, once in
# 2^27.  More leaves honest peers under suspicion for longer; fewer can be guessed.
ECHOES_TO_PROVE = 3
# A guess of our clock, once right, stays right: whoever confirmed a connection by luck could try all 520, three packets
# each, until one of them counts as proof.  So who needs more than so many packets without an echo gives no proof any
# more, and is treated like a peer that has none: three guesses.  Fewer hurts peers whose first packets are odd.
MAX_ECHO_MISSES = 8
# A packet without a fresh echo is taken only if there are no more than so many pairs of seq_nr and ack_nr that would
# be, at this moment: with the 16 bits of connection id that is one in 2^28.  More helps guessers; fewer makes peers
# without echo, and paths slower than MAX_ECHO_AGE, repeat what arrives far out of order.
MAX_BLIND_PAIRS = 1 << 20
# seq_nrs before the next that such a packet may have: acknowledgements and repeats overtaken on their way.
BLIND_LAG = 64
# ack_nrs that end a connection by a RESET without an echo: 2^16 / 8, and two ids in 2^16, is one in 2^28.
MAX_RESET_NUMBERS = 8
# RFC 5961 (7) throttles challenges, too: each is a packet to a peer that may have nothing to do with it.
CHALLENGE_INTERVAL = 100_000
# Packets between those that are withheld from a peer that gives no echo; this many at first and twice as many each time
# up to the limit, and as many again at random.  Fewer disturb honest peers more often, more let a blind one draw more.
WITHHOLDING_FIRST = 32
WITHHOLDING_LAST = 1024
# Packets with the id of a half-open connection and a wrong proof.  Its owner never sends one; who guesses blindly is
# right with one in 65,536 (32,768 for a STATE, which may be a keepalive).
HALF_OPEN_GUESSES = 3
# Where packets from a known host and an unknown port are looked for goes through all connections, so it is made anew
# this often at most; 16,000 take some 5 ms.
REBIND_INDEX_AGE = 1_000_000
# Connections of one host with one id that a packet from another of its ports is compared with.  Ids are random, so
# honest peers behind one NAT hardly ever share one; a host that gives all its connections the same makes each stray
# cost that much.
MAX_REBIND_CANDIDATES = 4
# Cookies that were used and are still good, so that none opens two connections.  Each is some 150 bytes; when there are
# more, cookies open nothing until the oldest are out of date.
MAX_USED_COOKIES = 65_536
# Of these, so many may be one host's: else one that connects and leaves, 500 times a second, locks everybody out.
MAX_USED_COOKIES_PER_HOST = 4096

# A SYN cookie is good for this long at the least, and twice as long at the most.  Longer gives guessers more time,
# shorter loses initiators that think before they speak.
COOKIE_SLOT = 1 << 26
# Packets to strangers (RESETs, repeated SYN-ACKs, cookies) that wait while the socket takes nothing.  What exceeds them
# is as good as lost on the way.
MAX_WAITING_ANSWERS = 1024
# Someone may watch a film and pause it.  Longer lets a peer that takes nothing hold a send buffer for longer.
DEFAULT_STALL_TIMEOUT = 600.0
# How long the end of a program may be held up by what it has promised to deliver.  Less than a second or two is not
# enough for a retransmission over a long way; more would be felt by whoever waits for the program to end.
DEFAULT_SHUTDOWN_TIMEOUT = 2.0
# Bytes a second that a peer must take on the average of the stall timeout while something waits for it, and so many at
# least: slower than any line that is of use, and more than a packet now and then.  Less lets somebody hold buffers with
# less traffic; more cuts off slow radio links.
MIN_TAKEN_RATE = 100
MIN_TAKEN_BYTES = 6_000

RESETS_PER_SECOND = 64
RESET_BURST = 128
RESETS_PER_SOURCE = 4
RESET_SOURCE_INTERVAL = 10_000_000
RESET_SOURCES_REMEMBERED = 1024
