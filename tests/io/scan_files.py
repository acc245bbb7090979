"""Small scan files as beamlines write them."""

SPEC = """#F test.spec
#E 1580609738
#D Sat Feb 01 20:15:38 2020
#O0 Delta  Theta  Chi  Phi  Mu  Gamma
#O1 camdist  Energy
#o0 del th chi phi mu gam
#o1 cam en

#S 53  ascan  phi 1 2  2 0.25
#D Tue Feb 04 12:28:23 2020
#P0 32 0.2 90 -5 0 12.5
#P1 500 9
#N 2
#L Phi  Detector
1 10
1.5 11
2 12

#S 54  ascan  th 0.1 0.3  4 0.5
#D Tue Feb 04 12:28:23 2020
#P0 32.174 0.2 90 -5 0 12.6346
#P1 500 9
#UIMDET 34idcTIM2:
#UIMR5  16 8 32 4 1
#N 3
#L Theta  Seconds  Detector
0.1 0.5 10
0.15 0.5 11
0.2 0.5 12
0.25 0.5 13
0.3 0.5 14
"""
FIO = """!
! Comments
!
%c
ascan om 17.9 18.1 2 1.0
user someone acquisition started at Sat Nov 14 03:00:00 2020
!
! Parameter
!
%p
_ccd = e4m
_distance = 1800
fmbenergy = 8170
om = 18.0
mu = 0.1
chi = 92
phi = 3
gam = 0.5
del = 36.5
!
! Data
!
%d
 Col 1 om DOUBLE
 Col 2 e4m_sum DOUBLE
 17.9 100
 18.0 200
 18.1 150
"""

NANOMAX = {
    "entry/description": "ascan gontheta 10 11 2 1",
    "entry/measurement/gontheta": [10.0, 10.5, 11.0],
    "entry/snapshots/post_scan/gonphi": [4.0],
    "entry/snapshots/post_scan/gamma": [20.0],
    "entry/snapshots/post_scan/delta": [1.0],
    "entry/snapshots/post_scan/energy": [10000.0],
    "entry/snapshots/post_scan/radius": [1000.0],
}
"""An HDF5 file: values by path."""
