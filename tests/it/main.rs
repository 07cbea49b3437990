//! The whole host, from outside: most tests open one in this process, on a data directory of its own, and speak to it
//! over HTTP as providers, tenants and operators do. In reading order:

/// What every story needs: a host, a sender, a receiver.
mod harness;

/// The main job: a signed webhook goes in, a plugin decides, the calls go out.
mod main_path;

/// Every known request of a real provider, believed or not, over a socket.
mod vectors;

/// The command line as a program: what it judges, explains and sends.
mod verify;

/// What is not genuine, too long or too slow learns a status and nothing else.
mod refusals;

/// Amazon SNS: certificates that are fetched, subscriptions that are confirmed.
mod sns;

/// A provider that gives its secret with a greeting.
mod given_secrets;

/// The same request again is told the same, and nothing happens twice.
mod duplicates;

/// Senders that wait: the plugin's answer in time, or a valid one instead.
mod replies;

/// Each provider that waits, in its own words: answered, too late, cut off.
mod sync;

/// Plugins that loop, grow, panic, flood and overstep.
mod hostile;

/// Attackers, a small guest each: it falls where it says, and nobody beside it notices.
mod attackers;

/// Calls on their way out: again, given up, held, denied.
mod delivery;

/// What was given up, and what no route took, goes once more.
mod dead_letters;

/// The same from the command line: what is listed, told, replayed, erased, and what is refused.
mod inspecting;

/// What a replay would do, shown beside what was decided, with nothing sent or stored.
mod rehearsals;

/// What calls carry: signatures, credentials, the sender's trace.
mod outgoing;

/// What comes of a call comes back to its plugin.
mod followups;

/// What the host tells a tenant about its own things.
mod notices;

/// What goes by age, on demand, and so that others find room.
mod leaving;

/// The plugin that books a slot and confirms what was booked.
mod appointment;

/// The host ends in the middle of things and is opened again.
mod restarts;

/// The program is asked to stop: what it can't wait for is given back, and it is gone in time.
mod stopping;

/// The store fails for a while: what was decided or sent is not thrown away.
mod failing_store;

/// The program itself is killed under load, again and again, and opened again.
mod crash;

/// Under `strace`: a 2xx leaves after the sync of what it acknowledges.
mod durability;

/// Components that are no plugins, and versions that come and go.
mod uploads;

/// The gate's own parts fail, and what is deployed goes on.
mod broken_gate;

/// Secrets are nowhere but where they belong.
mod canaries;

/// A host's admin API in a directory of its own, without a host around it, for the modules below.
mod desk;

/// The admin API: who may, what is refused and how, what is never shown.
mod admin;

/// The URLs that a host gives away.
mod urls;

/// `creel apply` through the client over a real socket: plan, carry out, plan again.
mod apply;

/// The files in the plugins' pages, applied.
mod recipes;

/// The plugin of the README's first page, by somebody who has the program and no checkout.
mod author;
