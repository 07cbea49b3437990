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

/// Requests that a proxy could read differently than the host does.
mod smuggling;

/// Whoever connects: how many, how long, how much, and ten thousand bad requests against the program.
mod strangers;

/// Handshakes that break off or are none, by the thousand.
mod half_shaken;

/// What stands between providers and a host: who the sender is, and which URL was signed.
mod proxied;

/// TLS on both listeners, and certificates that change.
mod encrypted;

/// Amazon SNS: certificates that are fetched, subscriptions that are confirmed.
mod sns;

/// A provider that gives its secret with a greeting.
mod given_secrets;

/// The same request again is told the same, and nothing happens twice.
mod duplicates;

/// Senders that wait: the plugin's answer in time, or a valid one instead.
mod replies;

/// The page about the file of a tenant says what the API and the file's reader know.
mod tenant_file;

/// Each provider that waits, in its own words: answered, too late, cut off.
mod sync;

/// Plugins that loop, grow, panic, flood and overstep.
mod hostile;

/// The same event comes to the same, in every process, idle or busy.
mod determinism;

/// A debug build and a release build of the program decide alike.
mod builds;

/// Attackers, a small guest each: it falls where it says, and nobody beside it notices.
mod attackers;

/// What a tenant may use, and what it is told when that is not enough.
mod limits;

/// Who goes when all want everything: places, fuel, slots.
mod scheduling;

/// Calls on their way out: again, given up, held, denied.
mod delivery;

/// What was given up, and what no route took, goes once more.
mod dead_letters;

/// The same from the command line: what is listed, told, replayed, erased, and what is refused.
mod inspecting;

/// Events found by state and time, and why what is not over waits.
mod looking_back;

/// What `creel doctor` says of everything that can be wrong.
mod doctor;

/// What a replay would do, shown beside what was decided, with nothing sent or stored.
mod rehearsals;

/// What calls carry: signatures, credentials, the sender's trace.
mod outgoing;

/// Client certificates, and access tokens that the host gets by itself.
mod credentials;

/// Where no call goes, however its address is written and whatever its name leads to.
mod guarded;

/// What a run looks up while it decides: granted or denied, answered or not, kept, and never sent again for a rehearsal.
mod look_ups;

/// What plugins remember: exact, theirs alone, limited, seen and removed by people.
mod remembering;

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

/// However much waits, memory does not grow with it.
mod backlog;

/// The program itself is killed under load, again and again, and opened again.
mod crash;

/// Under `strace`: a 2xx leaves after the sync of what it acknowledges.
mod durability;

/// Components that are no plugins, and versions that come and go.
mod uploads;

/// The gate's own parts fail, and what is deployed goes on.
mod broken_gate;

/// Another engine: code is made anew in the background.
mod upgrades;

/// Plugins in JavaScript and in Python.
mod languages;

/// Secrets are nowhere but where they belong.
mod canaries;

/// A host's admin API in a directory of its own, without a host around it, for the modules below.
mod desk;

/// The admin API: who may, what is refused and how, what is never shown.
mod admin;

/// Every row of the API, called by everybody who may not.
mod rows;

/// Keys and the audit trail from the command line.
mod people;

/// What a tenant has, as files.
mod exporting;

/// A tenant is removed, and nothing of it is left.
mod removal;

/// Secrets, URLs and keys are rotated while they are used.
mod rotation;

/// Who may change what runs can't lead a secret elsewhere.
mod deputy;

/// The URLs that a host gives away.
mod urls;

/// `creel apply` through the client over a real socket: plan, carry out, plan again.
mod apply;

/// The files in the plugins' pages, applied.
mod recipes;

/// A plugin is tried without a host: what the gate would say to it, and what its cases say.
mod trying;

/// The plugin of the README's first page, by somebody who has the program and no checkout.
mod author;

/// The guide, typed line by line into a shell.
mod guide;

/// The author's inner loop: edit, save, see what comes of it.
mod developing;

/// What every command says, word for word: for people and as JSON, on good and on bad input, and every page of help.
mod wording;
