// What is the least program around KTorrent's library that seeds and fetches, by uTP alone?
//
//     ktorrent_client PORT FOLDER
//
// It reads lines, words apart by tabs: "add TORRENT FOLDER [HOST PORT]" and "leave INFO_HASH".  It prints JSON lines:
// "listening", then "ready" and "complete" with an info hash.  Its own files are in the folder; there is its log, too.

#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unistd.h>

#include <QCoreApplication>
#include <QDir>
#include <QFile>
#include <QSocketNotifier>
#include <QTimer>

#include <interfaces/peersource.h>
#include <interfaces/queuemanagerinterface.h>
#include <interfaces/serverinterface.h>
#include <net/address.h>
#include <peer/authenticationmonitor.h>
#include <peer/connectionlimit.h>
#include <peer/peermanager.h>
#include <torrent/choker.h>
#include <torrent/globals.h>
#include <torrent/torrent.h>
#include <torrent/torrentcontrol.h>
#include <util/error.h>
#include <util/functions.h>
#include <util/log.h>
#include <util/sha1hash.h>
#include <utp/utpserver.h>

namespace
{
// KTorrent's own interval.
const int UPDATE_MILLISECONDS = 250;
const int MOST_CONNECTIONS = 200;
// KTorrent's default is two; nobody is to wait for others here.
const int UPLOAD_SLOTS = 20;

void report(const char *event, const std::string &key, const std::string &value)
{
    std::cout << "{\"event\": \"" << event << "\", \"" << key << "\": " << value << "}" << std::endl;
}

class NoQueue : public bt::QueueManagerInterface
{
public:
    bool alreadyLoaded(const bt::SHA1Hash &) const override
    {
        return false;
    }
    void mergeAnnounceList(const bt::SHA1Hash &, const bt::TrackerTier *) override
    {
    }
};

// The peer that we were told to dial.
class ToldPeer : public bt::PeerSource
{
public:
    explicit ToldPeer(const net::Address &peer)
        : m_peer(peer)
    {
    }
    void start() override
    {
        addPeer(m_peer, true);
        Q_EMIT peersReady(this);
    }
    void stop(bt::WaitJob *) override
    {
    }

private:
    net::Address m_peer;
};

class Client
{
public:
    explicit Client(const QString &folder)
        : m_folder(folder)
    {
    }

    void obey(const QStringList &words)
    {
        if (words[0] == QLatin1String("add")) {
            add(words);
        } else {
            const auto found = m_torrents.find(words[1].toStdString());
            if (found != m_torrents.end() && found->second->getStats().running) {
                found->second->stop();
            }
        }
    }

    void update()
    {
        bt::UpdateCurrentTime();
        bt::AuthenticationMonitor::instance().update();
        for (auto &[hash, torrent] : m_torrents) {
            torrent->update();
            const bt::TorrentStats &stats = torrent->getStats();
            if (stats.running) {
                report_once("ready", hash);
            }
            if (stats.running && stats.completed) {
                report_once("complete", hash);
            }
        }
    }

private:
    void add(const QStringList &words)
    {
        QFile file(words[1]);
        file.open(QIODevice::ReadOnly);
        auto torrent = std::make_unique<bt::TorrentControl>();
        const QString own = m_folder + QLatin1String("/torrent") + QString::number(m_torrents.size()) + QLatin1Char('/');
        QDir().mkpath(own);
        torrent->init(&m_queue, file.readAll(), own, words[2] + QLatin1Char('/'));
        torrent->setFeatureEnabled(bt::DHT_FEATURE, false);
        torrent->setFeatureEnabled(bt::UT_PEX_FEATURE, false);
        torrent->createFiles();
        if (torrent->hasExistingFiles()) {
            torrent->markExistingFilesAsDownloaded();
        }
        if (words.size() > 3) {
            torrent->addPeerSource(new ToldPeer(net::Address(words[3], words[4].toUShort())));
        }
        torrent->setAllowedToStart(true);
        torrent->start();
        m_torrents[torrent->getInfoHash().toString().toStdString()] = std::move(torrent);
    }

    void report_once(const char *event, const std::string &hash)
    {
        if (m_said.insert(event + hash).second) {
            report(event, "torrent", '"' + hash + '"');
        }
    }

    QString m_folder;
    NoQueue m_queue;
    std::map<std::string, std::unique_ptr<bt::TorrentControl>> m_torrents;
    std::set<std::string> m_said;
};
}

int main(int argc, char **argv)
{
    QCoreApplication application(argc, argv);
    const bt::Uint16 port = QString::fromLocal8Bit(argv[1]).toUShort();
    const QString folder = QString::fromLocal8Bit(argv[2]);
    bt::InitLog(folder + QLatin1String("/log"), false, false, false);
    bt::InitLibKTorrent();
    bt::ServerInterface::setPort(port);
    bt::ServerInterface::setUtpEnabled(true, true);
    bt::ServerInterface::setPrimaryTransportProtocol(bt::UTP);
    bt::ServerInterface::disableEncryption();
    bt::PeerManager::connectionLimits().setLimits(MOST_CONNECTIONS, MOST_CONNECTIONS);
    bt::Choker::setNumUploadSlots(UPLOAD_SLOTS);
    if (!bt::Globals::instance().initUTPServer(port)) {
        std::cerr << "cannot listen" << std::endl;
        return 1;
    }
    Client client(folder);
    QTimer timer;
    QObject::connect(&timer, &QTimer::timeout, [&client] {
        client.update();
    });
    timer.start(UPDATE_MILLISECONDS);
    QSocketNotifier input(STDIN_FILENO, QSocketNotifier::Read);
    QByteArray unread;
    QObject::connect(&input, &QSocketNotifier::activated, [&] {
        char piece[4096];
        const ssize_t length = read(STDIN_FILENO, piece, sizeof piece);
        if (length <= 0) {
            _exit(0);
        }
        unread.append(piece, int(length));
        for (int end; (end = unread.indexOf('\n')) >= 0; unread.remove(0, end + 1)) {
            try {
                client.obey(QString::fromUtf8(unread.left(end)).split(QLatin1Char('\t')));
            } catch (bt::Error &error) {
                std::cerr << error.toString().toStdString() << std::endl;
            }
        }
    });
    report("listening", "port", std::to_string(port));
    return application.exec();
}
