//! The reference server of known delay, on one thread: what an engine says about it can be compared with the truth.
//!
//! Each request is answered exactly so long after it was read; any number may wait. The delay is the same for all, so
//! they are due in the order in which they came.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, accept_with, bind, getsockname,
    listen, recv, send, socket_with, sockopt,
};

use crate::clock::{NEVER_NS, Timer, now_ns};
use crate::connection::{parts, token};
use crate::requests::{Request, first};

const LISTENER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
const INPUT: u64 = u64::MAX - 2;
const QUEUE: i32 = 4096; // connections that wait to be accepted
const EVENTS: usize = 256;
const BUFFER_BYTES: usize = 65_536;
const MOST_KEPT: usize = 1 << 24; // of one client's unfinished request, or of answers that it does not read

/// How the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// From the read of a request to its answer (ns); 0 answers at once.
    pub delay_ns: i64,
    /// How long before an answer is due the server stops sleeping and watches the clock (ns). It makes the delay exact
    /// at the cost of its core; 0 leaves it to the kernel's timer, which is some microseconds late.
    pub watch_ns: i64,
    /// Length of each body.
    pub body_bytes: usize,
}

#[derive(Debug, Default)]
struct Client {
    socket: Option<OwnedFd>,
    generation: u32,
    partial: Vec<u8>, // of a request
    unsent: Vec<u8>,  // of answers
    closes: bool,     // when all answers are written
}

struct Due {
    at_ns: i64,
    token: u64,
    request: Request,
}

/// The server; [`Server::run`] is its life.
pub struct Server {
    /// The port that it listens on.
    pub port: u16,
    manner: Manner,
    epoll: OwnedFd,
    listener: OwnedFd,
    timer: Timer,
    clients: Vec<Client>,
    free: Vec<usize>,
    due: VecDeque<Due>,
    answer: Vec<u8>,
    head: usize, // length of the answer without its body
    answered: u64,
}

impl Server {
    /// Listen on 127.0.0.1:`port`, or on a free port for 0. It ends when `input` ends.
    ///
    /// # Errors
    /// What the kernel says, for example when the port is taken or `input` is nothing that can be waited for.
    pub fn new(port: u16, manner: Manner, input: impl AsFd) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&listener, true)?;
        bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
        listen(&listener, QUEUE)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&epoll, input, EventData::new_u64(INPUT), EventFlags::IN)?;
        let mut answer = head(manner.body_bytes);
        let head = answer.len();
        answer.extend(b"ok".iter().cycle().take(manner.body_bytes));
        Ok(Self {
            port: port_of(&getsockname(&listener)?)?,
            manner,
            timer: Timer::new(&epoll, TIMER)?,
            epoll,
            listener,
            clients: Vec::new(),
            free: Vec::new(),
            due: VecDeque::new(),
            answer,
            head,
            answered: 0,
        })
    }

    /// Serve until the input ends and return how many requests were answered.
    ///
    /// # Errors
    /// What is the machine's fault.
    pub fn run(mut self, input: impl AsFd) -> io::Result<u64> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            self.answer_due();
            let next_ns = self.due.front().map_or(NEVER_NS, |due| due.at_ns - self.manner.watch_ns);
            let is_near = next_ns <= now_ns();
            if !is_near {
                self.timer.set(next_ns)?;
            }
            events.clear();
            let limit = is_near.then(rustix::time::Timespec::default);
            match epoll::wait(&self.epoll, spare_capacity(&mut events), limit.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            for event in &events {
                match { event.data }.u64() {
                    LISTENER => self.accept()?,
                    TIMER => self.timer.expired(),
                    INPUT => {
                        if io::read(&input, &mut buffer)? == 0 {
                            return Ok(self.answered);
                        }
                    }
                    token => self.handle(token, event.flags, &mut buffer),
                }
                self.answer_due();
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => socket,
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return Ok(()),
                Err(error) => return Err(error),
            };
            sockopt::set_tcp_nodelay(&socket, true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.clients.push(Client::default());
                self.clients.len() - 1
            });
            let client = &mut self.clients[index];
            client.generation = client.generation.wrapping_add(1);
            let token = token(u32::try_from(index).unwrap_or(u32::MAX), client.generation);
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&self.epoll, &socket, EventData::new_u64(token), flags)?;
            client.socket = Some(socket);
        }
    }

    /// The client of a token, unless it is gone.
    fn client(&mut self, token: u64) -> Option<&mut Client> {
        let (index, generation) = parts(token);
        self.clients.get_mut(index as usize).filter(|it| it.generation == generation && it.socket.is_some())
    }

    fn close(&mut self, token: u64) {
        if let Some(client) = self.client(token) {
            *client = Client { generation: client.generation, ..Client::default() };
            self.free.push(parts(token).0 as usize);
        }
    }

    fn handle(&mut self, token: u64, flags: EventFlags, buffer: &mut [u8]) {
        if flags.contains(EventFlags::OUT) {
            self.write(token, 0);
        }
        let mut more = true;
        while more {
            let Some(socket) = self.client(token).and_then(|client| client.socket.as_ref()) else { return };
            match recv(socket, &mut *buffer, RecvFlags::empty()) {
                Ok((_, 0)) => return self.close(token),
                Ok((_, count)) => {
                    self.take(token, &buffer[..count], now_ns());
                    more = count == buffer.len() || flags.contains(EventFlags::RDHUP);
                }
                Err(Errno::AGAIN) => more = false,
                Err(Errno::INTR) => {}
                Err(_) => return self.close(token),
            }
        }
    }

    /// Take what came and answer every request that is whole, now or after the delay.
    fn take(&mut self, token: u64, data: &[u8], at_ns: i64) {
        let Some(client) = self.client(token) else { return };
        if client.partial.is_empty() {
            let used = self.take_whole(token, data, at_ns);
            if let Some(client) = self.client(token).filter(|_| used < data.len()) {
                client.partial.extend_from_slice(&data[used..]);
            }
            return;
        }
        client.partial.extend_from_slice(data);
        if client.partial.len() > MOST_KEPT {
            return self.close(token);
        }
        let mut partial = std::mem::take(&mut client.partial);
        let used = self.take_whole(token, &partial, at_ns);
        partial.drain(..used);
        if let Some(client) = self.client(token) {
            client.partial = partial;
        }
    }

    fn take_whole(&mut self, token: u64, data: &[u8], at_ns: i64) -> usize {
        let mut used = 0;
        while let Some(request) = first(&data[used..]) {
            used += request.length;
            if self.manner.delay_ns == 0 {
                self.reply(token, request);
            } else {
                self.due.push_back(Due { at_ns: at_ns + self.manner.delay_ns, token, request });
            }
        }
        used
    }

    fn answer_due(&mut self) {
        while self.due.front().is_some_and(|due| due.at_ns <= now_ns()) {
            if let Some(due) = self.due.pop_front() {
                self.reply(due.token, due.request);
            }
        }
    }

    fn reply(&mut self, token: u64, request: Request) {
        let Some(client) = self.client(token) else { return };
        client.closes |= request.closes;
        self.answered += 1;
        let length = if request.is_head { self.head } else { self.answer.len() };
        self.write(token, length);
    }

    /// Write what is left for a client, then the first `length` bytes of the answer.
    fn write(&mut self, token: u64, length: usize) {
        let (index, generation) = parts(token);
        let Some(client) = self.clients.get_mut(index as usize) else { return };
        let Some(socket) = client.socket.as_ref().filter(|_| client.generation == generation) else { return };
        let answer = &self.answer[..length];
        let is_late = !client.unsent.is_empty();
        if is_late {
            client.unsent.extend_from_slice(answer);
        }
        let bytes: &[u8] = if is_late { &client.unsent } else { answer };
        let written = if bytes.is_empty() {
            0
        } else {
            match send(socket, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => count,
                Err(Errno::AGAIN) => 0, // an event follows
                Err(_) => return self.close(token),
            }
        };
        if is_late {
            client.unsent.drain(..written);
        } else {
            client.unsent.extend_from_slice(&answer[written..]);
        }
        if client.unsent.len() > MOST_KEPT || (client.closes && client.unsent.is_empty()) {
            self.close(token);
        }
    }
}

fn head(body_bytes: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {body_bytes}\r\n\r\n").into_bytes()
}

fn port_of(address: &SocketAddrAny) -> io::Result<u16> {
    Ok(SocketAddrV4::try_from(address.clone())?.port())
}
