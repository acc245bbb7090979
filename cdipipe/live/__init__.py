"""Patterns of a running detector to objects, while they arrive.

=============  =====================================================================================================
``registry``   what a source is; ``sources`` has those for folders and growing files, DECTRIS streams and measurements
``corrections``  mask, dark, white field, background, crop and bin of ``cdipipe import``, for one frame at a time
``hits``       which frames hold an object
``phaser``     batches of frames through a network, some of them through a few iterations
``dectris``    messages of DECTRIS detectors, with ``dectris_compression`` and ``dectris_writer``; ``send`` replays a
               measurement as such a stream
``writer``     results into a CXI file that others may read while it grows
``batches``    what becomes of a batch of frames: corrections, hits, objects
``engine``     the threads and the queue between them; ``plan`` is what they are told
``monitor``    what a page sees of it, and what it may ask for; ``meters`` are its rates and latencies
``page``       that page, for the browser
=============  =====================================================================================================
"""
