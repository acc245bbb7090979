"""Patterns of a running detector to objects, while they arrive.

=============  =====================================================================================================
``sources``    frames from folders and growing files, DECTRIS streams, measurements at a given rate; entry points
``corrections``  mask, dark, white field, background, crop and bin of ``cdipipe import``, for one frame at a time
``hits``       which frames hold an object
``phaser``     batches of frames through a network, some of them through a few iterations
``writer``     results into a CXI file that others may read while it grows
``engine``     the threads and the queue between them
``monitor``    what a page sees of it, and what it may ask for
=============  =====================================================================================================
"""
