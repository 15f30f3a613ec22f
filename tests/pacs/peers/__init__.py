"""Peers for tests of the PACS client: real archives, a faulty line, and an SCP that lies.

**Real archives**: fixtures of ``tests/pacs/fixtures.py``, in all folders, one for all tests of a run, started
when first asked for, skipped with a reason where the program is not installed::

    def test_one(orthanc, pacs_data):   # testing.Orthanc, data.Data
        orthanc.dimse_url               # "dimse://TESTPACS@127.0.0.1:<port>"; also .aet, .dicom_port
        orthanc.dicomweb_url, orthanc.wado_url, orthanc.user, orthanc.password
        orthanc.modalities["SLICER"]    # port where it expects SLICER's storage SCP (C-MOVE). It also knows SLICER2,
                                        # SLICER3 and NOBODYHOME (let nothing listen there); it rejects other titles
        pacs_data.study("thorax").uid   # what is in it: names of studies in data.Data.study
        pacs_data.study("thorax").series[0].instances     # {SOP Instance UID: file}
        orthanc.counts(), orthanc.rest.get("/changes"), orthanc.log

    def test_each(archive): ...         # real.RealPeer, Orthanc and dcmqrscp in turn: .name .url .aet .port .calling
                                        # .modalities .web .wado .user .password .data .prefix ("" where it has none)
    def test_dcmtk(dcmqrscp): ...       # real.RealPeer: no DICOMweb, no compressed study; takes any calling title
    def test_other(orthanc_peer): ...   # Orthanc as a real.RealPeer

    def test_a_restart(fresh_orthanc):  # one of your own, to kill and to write to: 0.2 s
        pacs = fresh_orthanc()          # with the data; fresh_orthanc(None): empty; options of testing.orthanc
        pacs.kill(); pacs.start()       # SIGKILL, connections refused; then up again: same ports and storage
        pacs.restart()                  # orderly; Orthanc takes 3 to 4 s to end
        pacs.upload(folder_or_files)

    data.write_series_of(folder, 500, size=512)       # a study of one large series: 500 instances of 525 kB

Do not change what the shared ones hold. A benchmark that must not pay for the relay runs its client inside the
archive's network: ``subprocess.run([*pacs.command_prefix, "getscu", ..., "127.0.0.1", str(pacs.inner_dicom_port)])``; a
receiver in there needs a title of its own: ``testing.orthanc(..., calling_inside={"BENCH": 0})``.

**A faulty line** to any server, `proxy.Proxy`; it alters no byte::

    with Proxy(orthanc.dicom_port) as line:           # or orthanc.http_port
        url = line.url(orthanc.dimse_url)             # the same address by way of the line
        line.cut_after(200_000)                       # after so many bytes from the server all connections are reset,
                                                      # once; times=3: three times; reset=False: closed (FIN) instead
        line.stall_after(200_000); line.resume()      # half open: connected, and silent. Also .stall(), .cut() at once
        line.delay(0.05); line.limit(1_000_000)       # seconds; bytes/s from the server
        line.refuse(); line.accept()                  # connection refused, and taken again
        line.heal()                                   # the end of all faults
        line.wait_for(lambda: line.stalled)           # or line.cuts, line.connections, line.open, line.from_server...

**An SCP that lies**, `liar.Liar`, on pynetdicom: truthful by default (C-ECHO, C-FIND at all levels, C-GET, C-MOVE,
C-STORE, C-CANCEL; rejects wrong called titles), and each field of `lies.Lies` is a lie, to be switched at any time::

    with Liar(pacs_data.instances.values(), modalities={"SLICER": port}, lies=Lies(truncated=2)) as liar:
        liar.url, liar.port, liar.aet                 # dimse://LIAR@127.0.0.1:<port>; tls=SSLContext for dimses://
        liar.lies.reject = (2, 3, 2)                  # associations: reject, most_associations, contexts, roles,
                                                      # without={"get"}, extended, user
        liar.lies.hang = {"find"}                     # never answers; abort={"get"}; "associate", "echo", "find",
                                                      # "get", "move", "store"
        liar.lies.status = {"move": 0xA801}           # final status at once, with comment="..." as Error Comment
        liar.lies.slow = 0.05                         # s before each answer and each instance; ignore_cancel, nagle
        liar.lies.miscount = -2                       # C-FIND: leave_out={"SOPClassUID"}, levels=("STUDY", "SERIES"),
                                                      # ignore_keys, ignore={"ModalitiesInStudy"}, repeat=2,
                                                      # charset="ISO_IR 100", invented=300
        liar.lies.share = 0.5                         # C-GET and C-MOVE: half is sent, success is said; fail=2,
                                                      # truncated=2, renamed=1, paths=1, private=1, twice=1,
                                                      # unasked=(path,), abort_after=10, quiet, stops, idle
        liar.lies.operations = 1                      # ... by the first operation only; the next one is truthful
        liar.wait_for(lambda: liar.cancelled)         # also liar.asked, liar.sent, liar.stored, liar.associations,
                                                      # liar.most (at a time), liar.contexts, liar.ended

In tests that need other servers: ``testing.Caged(name, ports=1)`` runs any program on loopback ports only,
``testing.free_port()`` gives a port that nothing else here was given.
"""
